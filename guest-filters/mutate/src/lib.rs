//! The mutate filter.

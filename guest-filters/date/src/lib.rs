//! The date filter.

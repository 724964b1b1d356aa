//! The local-time filter.

//! The dissect filter.

//! The fingerprint filter.

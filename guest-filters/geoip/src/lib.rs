//! The geoip filter.

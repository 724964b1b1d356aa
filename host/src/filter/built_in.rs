//! The filters that ship with Weir and the demo's address database, as `build.rs` made and embedded them.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// A small address database of documentation networks, made up for the demo.
pub(super) static DEMO_ADDRESSES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.mmdb"));

//! The filters that ship with Weir and the demo's address database, as `build.rs` made and embedded them.

use std::io::Read;

use anyhow::{Context, Result};
use flate2::read::DeflateDecoder;

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// A small address database of documentation networks, made up for the demo.
pub(super) static DEMO_ADDRESSES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.mmdb"));

/// A filter's module as it was before it was packed.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut module = Vec::new();
    DeflateDecoder::new(packed).read_to_end(&mut module).context("a built-in filter cannot be unpacked")?;
    Ok(module)
}

//! Made-up Route 53 query log lines, the same for the same seed.

use anyhow::{Result, bail};
use futures::future::BoxFuture;

use super::{Input, InputContext, Read};
use crate::config::Section;

/// `[input] type = "sample"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleOptions {
    /// `count`: how many lines; endless without.
    pub count: Option<u64>,
    /// `seed`: lines of the same seed are the same.
    pub seed: u64,
    /// `rate`: lines a second; as fast as they are taken without.
    pub rate: Option<f64>,
}

/// Reads the options of `[input] type = "sample"`.
pub fn read_options(section: &mut Section) -> SampleOptions {
    let count = section.integer_in("count", 0..=i64::MAX).map(i64::cast_unsigned);
    let seed = section.integer("seed").unwrap_or(0).cast_unsigned();
    let rate = section.number("rate");
    if rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
        section.problem("rate", "`rate` must be more than 0", "write lines a second, such as 100");
    }
    SampleOptions { count, seed, rate }
}

/// The open input.
pub struct Sample {}

impl Input for Sample {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>> {
        Box::pin(async { Ok(None) })
    }
}

/// Opens the input.
///
/// # Errors
/// Never so far.
pub fn open(_options: SampleOptions, _context: InputContext) -> Result<Sample> {
    bail!("sample lines are not made yet")
}

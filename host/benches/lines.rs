//! The lines of the job: Route 53 query logs as `input::sample` makes them, with resolvers from all over the address space
//! in place of the documentation networks. A file of them is made once and kept.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use weir::input::sample::lines;
use weir_test_support::Random;

use crate::city::Networks;

/// How many resolvers ask.
pub(crate) const ADDRESSES: usize = 80_000;

/// The file of `count` lines whose resolvers lie in these networks, made if it is not there. The n-th busiest resolver asks
/// a n-th as often as the busiest (Zipf's law with exponent 1).
pub(crate) fn file(folder: &Path, count: u64, networks: &Networks) -> Result<PathBuf> {
    let path = folder.join(format!("lines-{count}.log"));
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_extension("unfinished");
    let file = File::create(&unfinished).with_context(|| unfinished.display().to_string())?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut resolvers = Resolvers::new(networks, ADDRESSES);
    let mut sample = lines(53);
    let mut line = String::new();
    for _ in 0..count {
        line.clear();
        sample.write(&mut line);
        let mut words = line.splitn(10, ' ');
        for number in 0..10 {
            let word = words.next().context("a sample line has ten words")?;
            let word = if number == 8 { resolvers.next() } else { word };
            file.write_all(word.as_bytes())?;
            file.write_all(if number == 9 { b"\n" } else { b" " })?;
        }
    }
    file.flush()?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// Addresses without end, some of them often.
struct Resolvers {
    random: Random,
    addresses: Vec<String>,
    /// For each address the share of it and of all before it, of 2^53.
    shares: Vec<u64>,
}

impl Resolvers {
    fn new(networks: &Networks, count: usize) -> Self {
        let mut random = Random(80_000);
        let addresses = (0..count).map(|_| networks.address(&mut random)).collect();
        let all: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
        let mut sum = 0.0;
        let mut shares = Vec::with_capacity(count);
        for rank in 1..=count {
            sum += 1.0 / rank as f64 / all;
            shares.push((sum * (1_u64 << 53) as f64) as u64);
        }
        Resolvers { random, addresses, shares }
    }

    fn next(&mut self) -> &str {
        let at = self.random.number() >> 11;
        let place = self.shares.partition_point(|share| *share <= at);
        &self.addresses[place.min(self.addresses.len() - 1)]
    }
}

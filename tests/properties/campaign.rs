//! How many pairs of a configuration and an event are tried, from which seeds, and what is said of a pair that broke
//! something. What a pair is and what must hold of it is left to the subjects.

use std::cell::Cell;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Pairs of all subjects together, unless `WEIR_PROPERTY_PAIRS` says otherwise: so many that `make test` stays quick.
const PAIRS: u64 = 100_000;

/// The seed unless `WEIR_PROPERTY_SEED` says otherwise: `make test` tries the same pairs in every run.
const SEED: u64 = 20_261_124;

/// How long a failing case is made smaller.
const SHRINKING: Duration = Duration::from_secs(120);

/// What came of one configuration and its events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    /// The events that were tried with it.
    pub(crate) pairs: u64,
    /// Those on which the work was done, to see that the pairs are not all beside the point.
    pub(crate) matched: u64,
    /// Whether the configuration was refused.
    pub(crate) refused: bool,
}

impl Tried {
    /// A configuration that was refused: it was tried, with no event.
    pub(crate) fn refused() -> Self {
        Tried { refused: true, ..Tried::default() }
    }

    /// Events with which all held, and on how many of them work was done.
    pub(crate) fn pairs(pairs: usize, matched: u64) -> Self {
        Tried { pairs: pairs as u64, matched, refused: false }
    }
}

/// Tries what `strategy` makes until the subject's share (a percentage) of all pairs is tried. The number of a case is
/// added to the seed, so the seed of a case that failed makes it the first one.
///
/// # Panics
/// When `check` fails or panics, with the smallest case found for which it does.
pub(crate) fn run<S>(
    subject: &str,
    share: u64,
    strategy: &S,
    check: impl Fn(&S::Value) -> Result<Tried, String>,
) where
    S: Strategy,
    S::Value: Debug,
{
    let wanted = number_of("WEIR_PROPERTY_PAIRS", PAIRS).saturating_mul(share).div_ceil(100);
    let first = number_of("WEIR_PROPERTY_SEED", SEED);
    println!("{subject}: seed {first}");
    let started = Instant::now();
    let (mut pairs, mut matched, mut refused, mut cases) = (0, 0, 0_u64, 0_u64);
    let mut reported = started;
    while pairs < wanted {
        let seed = first.wrapping_add(cases);
        let mut runner = TestRunner::new_with_rng(settings(), generator(subject, seed));
        let case = strategy.new_tree(&mut runner).expect("the strategies reject nothing");
        let tried = Cell::new(Tried::default());
        let outcome = runner.run_one(case, |value| {
            tried.set(check(&value).map_err(TestCaseError::fail)?);
            Ok(())
        });
        if let Err(TestError::Fail(reason, smallest)) = outcome {
            panic!(
                "{subject}: {reason}\n\nthe smallest case found:\n{smallest:#?}\n\nrepeat it with WEIR_PROPERTY_SEED={seed}"
            );
        }
        cases += 1;
        // A refused configuration counts as nothing, but for getting to an end.
        let tried = tried.get();
        pairs += tried.pairs;
        matched += tried.matched;
        refused += u64::from(tried.refused);
        assert!(cases < 200 || refused < cases, "{subject}: every configuration is refused");
        if reported.elapsed() > Duration::from_secs(60) {
            reported = Instant::now();
            eprintln!("{subject}: {pairs} of {wanted} pairs after {:.0?}", started.elapsed());
        }
    }
    assert!(matched > 0, "{subject}: nothing was ever done");
    println!(
        "{subject}: {pairs} pairs of {cases} configurations ({refused} refused), work done on {matched}, {:.1?}",
        started.elapsed()
    );
}

fn settings() -> Config {
    Config {
        failure_persistence: None,
        max_shrink_iters: 50_000,
        max_shrink_time: u32::try_from(SHRINKING.as_millis()).unwrap_or(u32::MAX),
        ..Config::default()
    }
}

fn number_of(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.trim()
        .replace('_', "")
        .parse()
        .unwrap_or_else(|_| panic!("{variable} must be a number, but is {text:?}"))
}

/// Random numbers of a case: every subject has its own.
fn generator(subject: &str, seed: u64) -> TestRng {
    // FNV-1a of the name, and SplitMix64 from there.
    let mut state = subject.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    state ^= seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(32);
    for _ in 0..4 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((mixed ^ mixed >> 31).to_le_bytes());
    }
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

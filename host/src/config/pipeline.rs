//! `[pipeline]`: what holds for the whole line.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::TZ_VARIANTS;

use super::nearest::did_you_mean;
use super::section::Section;
use super::swap::{SwapConfig, read_swap};
use crate::output::dead_letter::{self, DeadLetterOptions};

/// The most events that a batch may be asked to have.
const LARGEST_BATCH: i64 = 65_536;

/// The least that a ledger may be asked to do with.
const SMALLEST_LEDGER: u64 = 1 << 20;

/// What holds for the whole line.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// The pipeline's name; the file's without its ending unless set.
    pub name: String,
    /// Where positions, dead letters and compiled guests lie; `None`: nothing is kept.
    pub state_dir: Option<PathBuf>,
    /// Bytes that the ledger is meant to have at most.
    pub ledger_budget: u64,
    /// The most events of a batch.
    pub batch_size: usize,
    /// How long a batch waits to fill.
    pub batch_delay: Duration,
    /// How long what was read may take to be delivered after a stop was asked for.
    pub drain_limit: Duration,
    /// How many batches are filtered at once.
    pub workers: usize,
    /// The IANA time zone that filters take when they name none.
    pub timezone: String,
    /// The locale that filters take when they name none, such as `en` or `de-DE`.
    pub locale: String,
    /// `disabled`, `v1` or `v8`: how filters name fields when they do not say it.
    pub ecs_compatibility: String,
    /// Where dead letters go, and how many are kept.
    pub dead_letter: DeadLetterOptions,
    /// How filters are changed while the pipeline runs.
    pub swap: SwapConfig,
}

/// Reads the section; `file_stem` is the default name.
pub(super) fn read_pipeline(section: &mut Section, file_stem: &str) -> PipelineConfig {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = section.integer_in("workers", 1..=1024).and_then(|workers| usize::try_from(workers).ok());
    let batch_size =
        section.integer_in("batch_size", 1..=LARGEST_BATCH).and_then(|size| usize::try_from(size).ok());
    PipelineConfig {
        name: read_name(section, file_stem),
        state_dir: section.path("state_dir"),
        ledger_budget: read_ledger_budget(section),
        batch_size: batch_size.unwrap_or(1024),
        batch_delay: section.duration("batch_delay").unwrap_or(Duration::from_millis(50)),
        drain_limit: section.duration("drain_limit").unwrap_or(Duration::from_secs(30)),
        workers: workers.unwrap_or(cores),
        timezone: read_timezone(section, "timezone").unwrap_or_else(|| "UTC".to_owned()),
        locale: read_locale(section),
        ecs_compatibility: section
            .one_of("ecs_compatibility", &["disabled", "v1", "v8"])
            .unwrap_or_else(|| "disabled".to_owned()),
        dead_letter: dead_letter::read_options(section),
        swap: read_swap(section),
    }
}

fn read_ledger_budget(section: &mut Section) -> u64 {
    let budget = section.bytes("ledger_budget").unwrap_or(4 << 30);
    if budget < SMALLEST_LEDGER {
        section.problem(
            "ledger_budget",
            "`ledger_budget` is too small to be of use",
            "write at least \"1MiB\": an id takes 16 bytes, and every event of the `lookback` has one",
        );
    }
    budget
}

fn read_name(section: &mut Section, file_stem: &str) -> String {
    let name = section.text_or("name", file_stem);
    if name.is_empty() {
        section.problem("name", "a pipeline's name must not be empty", "give it a name, or leave it out");
    }
    name
}

/// An IANA zone name, in any case; answers its proper spelling.
fn read_timezone(section: &mut Section, key: &str) -> Option<String> {
    let text = section.text(key)?;
    let names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(&text)) {
        return Some((*name).to_owned());
    }
    let fix = did_you_mean(&text, &names).map_or_else(
        || "it is a name of the IANA time zone database, such as \"Asia/Tokyo\" or \"UTC\"".to_owned(),
        |near| format!("did you mean \"{near}\"?"),
    );
    section.problem(key, &format!("unknown time zone {text:?}"), &fix);
    None
}

fn read_locale(section: &mut Section) -> String {
    let locale = section.text_or("locale", "en");
    let known = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if locale.is_empty() || !locale.chars().all(known) {
        section.problem("locale", &format!("{locale:?} is no locale"), "write it like \"en\" or \"de-DE\"");
    }
    locale
}

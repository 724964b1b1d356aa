//! What inputs count beside events: what was not as it should be, what it cost, and how far they are. Showing the numbers is
//! left to others; they find them by name in [`InputCounters::figures`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cloudwatch_logs::CloudwatchCounters;

/// Numbers of one input since it was opened.
#[derive(Debug, Default)]
pub struct InputCounters {
    /// Events whose text was no UTF-8: what was not is replaced by U+FFFD.
    pub invalid_utf8: AtomicU64,
    /// Lines that were longer than `max_line_bytes` and were cut.
    pub cut_lines: AtomicU64,
    /// Texts that the codec could not read.
    pub codec_failures: AtomicU64,
    /// What only `cloudwatch_logs` counts.
    pub cloudwatch_logs: Option<Arc<CloudwatchCounters>>,
}

/// A number with all that a monitor needs to show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// In lower case with underscores, without a prefix; units at the end (`_seconds`, `_bytes`).
    pub name: &'static str,
    /// What it counts, as a sentence.
    pub help: &'static str,
    /// Whether it only grows, or goes up and down.
    pub kind: FigureKind,
    /// What it is of, beside the input: `log_group`, `state`, `invariant`.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureKind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Figure {
    /// A figure that only grows, as it is now.
    pub(super) fn counter(name: &'static str, help: &'static str, value: &AtomicU64) -> Self {
        let value = value.load(Ordering::Relaxed) as f64;
        Figure { name, help, kind: FigureKind::Counter, labels: Vec::new(), value }
    }

    /// A figure that goes up and down.
    pub(super) fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Figure { name, help, kind: FigureKind::Gauge, labels: Vec::new(), value }
    }

    /// The same with a label.
    pub(super) fn with(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

impl InputCounters {
    /// All of them, as they are now. Reads the ledger: it belongs on a blocking thread.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            Figure::counter("invalid_utf8", "Events whose text was not UTF-8.", &self.invalid_utf8),
            Figure::counter("cut_lines", "Lines that were too long and were cut.", &self.cut_lines),
            Figure::counter("codec_failures", "Texts that the codec could not read.", &self.codec_failures),
        ];
        if let Some(counters) = &self.cloudwatch_logs {
            figures.extend(counters.figures());
        }
        figures
    }
}

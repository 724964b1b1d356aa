//! Where events come from. An input makes batches of events, each with the position that says it was read; it retries by
//! itself, and what it says of a position is understood by nobody else. Merging the batches of several inputs is the
//! line's.

pub mod cloudwatch_logs;
pub mod counters;
pub mod decoration;
mod events;
pub mod file;
mod lines;
pub mod sample;
pub mod stdin;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::Section;
use crate::event::{Batch, FieldNames};
use crate::ledger::{InputLedger, Position};

pub use counters::{Figure, FigureKind, InputCounters};
pub use decoration::{Codec, Decoration};

/// Events as an input read them, and what the ledger is to remember once all outputs have them.
pub struct Read {
    /// The events.
    pub events: Batch,
    /// What was read with them. May come with no events at all (an empty stretch of time was read).
    pub position: Position,
}

/// A source of batches.
pub trait Input: Send {
    /// The next batch; `None` at the end of a finite input, and soon after a stop was asked for. Waits when there is
    /// nothing to read. Must be safe to drop between polls only after `None`: the line polls one `next` to its end.
    ///
    /// # Errors
    /// Only when the input cannot go on by itself.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>>;

    /// What the input counts while it reads; the same numbers at every call.
    fn counters(&self) -> Arc<InputCounters> {
        Arc::default()
    }
}

/// What an input needs of the pipeline that it is part of.
pub struct InputContext {
    /// The input's name, in messages and in the ledger.
    pub name: String,
    /// The pipeline's field names. An input adds its own for its batches; the numbers of these stay.
    pub names: Arc<FieldNames>,
    /// What earlier runs have read and delivered.
    pub ledger: InputLedger,
    /// Events in a batch, at most; at least one.
    pub batch_size: usize,
    /// How long a batch that is not full waits for more events.
    pub batch_delay: Duration,
    /// Says that the pipeline stops.
    pub stop: CancellationToken,
    /// Read what is there now, then end.
    pub once: bool,
    /// What is added to every event.
    pub decoration: Decoration,
    /// How a text becomes an event.
    pub codec: Codec,
}

/// An input as the pipeline file describes it.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// `id`: the input's name in messages, metrics and the ledger.
    pub id: Option<String>,
    /// Which input it is, with its own options.
    pub source: Source,
    /// What is added to every event.
    pub decoration: Decoration,
    /// How a text becomes an event.
    pub codec: Codec,
}

/// The kinds of inputs, each with its options.
#[derive(Clone, Debug)]
pub enum Source {
    /// Log groups of CloudWatch Logs.
    CloudwatchLogs(Box<cloudwatch_logs::CloudwatchLogsOptions>),
    /// Files, line by line.
    File(file::FileOptions),
    /// Standard input, line by line.
    Stdin,
    /// Made-up Route 53 query log lines.
    Sample(sample::SampleOptions),
}

impl Source {
    /// The word for it in the pipeline file: `type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Source::CloudwatchLogs(_) => "cloudwatch_logs",
            Source::File(_) => "file",
            Source::Stdin => "stdin",
            Source::Sample(_) => "sample",
        }
    }

    /// Whether the input ends by itself even when it was not asked to read once.
    pub fn is_finite(&self) -> bool {
        match self {
            Source::CloudwatchLogs(_) => false,
            Source::File(options) => options.mode == file::Mode::Read,
            Source::Stdin => true,
            Source::Sample(options) => options.count.is_some(),
        }
    }

    /// Whether the input cannot do its work without a `state_dir`.
    pub fn needs_state_dir(&self) -> bool {
        matches!(self, Source::CloudwatchLogs(_))
    }
}

/// Reads an `[input]` section; `None` when its `type` is missing or unknown, which is reported in the section.
pub fn read_options(section: &mut Section) -> Option<InputOptions> {
    if !section.is_set("type") {
        section.required_text("type");
        section.ignore_rest();
        return None;
    }
    let Some(kind) = section.one_of("type", &["cloudwatch_logs", "file", "stdin", "sample"]) else {
        section.ignore_rest();
        return None;
    };
    let source = match kind.as_str() {
        "cloudwatch_logs" => Source::CloudwatchLogs(Box::new(cloudwatch_logs::read_options(section))),
        "file" => Source::File(file::read_options(section)),
        "stdin" => Source::Stdin,
        _ => Source::Sample(sample::read_options(section)),
    };
    Some(InputOptions {
        id: section.text("id"),
        source,
        decoration: decoration::read_options(section),
        codec: decoration::read_codec(section),
    })
}

/// Opens an input.
///
/// # Errors
/// When it cannot begin: no credentials, no such file, a ledger that cannot be read. The message says what to do.
pub async fn open(source: Source, context: InputContext) -> Result<Box<dyn Input>> {
    Ok(match source {
        Source::CloudwatchLogs(options) => Box::new(cloudwatch_logs::open(*options, context).await?),
        Source::File(options) => Box::new(file::open(options, context).await?),
        Source::Stdin => Box::new(stdin::open(context)?),
        Source::Sample(options) => Box::new(sample::open(options, context)?),
    })
}

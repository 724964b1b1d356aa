//! What outputs make for the events of a batch, without sending anything: for tests of pipelines, by the very code that makes
//! it when they run.

use serde_json::Value as Json;

use super::{elasticsearch, file};
use crate::config::OutputOptions;
use crate::event::Batch;

/// What an output makes for one event, by name (`index`, `document_id`, `path`); or why it would set the event aside.
pub type Rendered = Result<Vec<(String, Json)>, String>;

/// What the output makes for each event of the batch, in order.
pub fn preview(options: &OutputOptions, batch: &Batch) -> Vec<Rendered> {
    match options {
        OutputOptions::Elasticsearch(options) => elasticsearch::preview(options, batch),
        OutputOptions::File(options) => file::preview(options, batch),
        OutputOptions::Stdout(_) => vec![Ok(Vec::new()); batch.rows()],
    }
}

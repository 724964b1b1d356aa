//! The filters of a pipeline without a line around them: batches as the file input makes them, and what passing them through
//! takes. Everything runs as in a pipeline: epoch deadlines, memory limits, every answer checked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use weir::assembly::{self, Prepared};
use weir::config::{self, Secrets, Variables};
use weir::event::{Batch, Cell, FieldId, FieldNames, FieldReference};
use weir::filter::{Chain, Compilation, Engine};

use crate::Setting;
use crate::measure::thread_time;

/// Filters, and how events for them are made.
pub(crate) struct Filters {
    prepared: Prepared,
    names: Arc<FieldNames>,
    message: FieldId,
    timestamp: FieldId,
    version: FieldId,
    path: FieldId,
    others: Vec<FieldId>,
}

impl Filters {
    /// The filters of these sections of a pipeline file. Events have `others` more fields than those of the file input.
    pub(crate) fn new(setting: &Setting, sections: &str, others: usize) -> Result<Self> {
        let file = setting.folder.join("filters.toml");
        let text = format!("[input]\ntype = \"stdin\"\n[output]\ntype = \"stdout\"\n{sections}");
        std::fs::write(&file, &text)?;
        let reading = config::read(&file, text, &Variables::from_environment(), &Secrets::default());
        let Some(config) = reading.config else { bail!("{}", reading.problems.render(false)) };
        let engine = Engine::new(Some(&setting.folder.join("engine")), Compilation::Thorough)?;
        let environment = assembly::environment(&config);
        let prepared = assembly::prepare(config, &engine, &environment)
            .map_err(|problems| anyhow!("{}", problems.render(false)))?;
        // As an input does it: names of its own after those of the pipeline.
        let mut names = FieldNames::clone(&prepared.names);
        let mut intern = |name: &str| names.intern(&FieldReference::from_fragments([name]));
        let (message, timestamp, version, path) =
            (intern("message"), intern("@timestamp"), intern("@version"), intern("path"));
        let others = (0..others).map(|number| intern(&format!("field_{number}"))).collect();
        Ok(Filters { prepared, names: Arc::new(names), message, timestamp, version, path, others })
    }

    /// Instances of the filters, for one worker.
    pub(crate) fn start(&self) -> Result<Chain> {
        self.prepared.chain.start()
    }

    /// A batch of these lines.
    pub(crate) fn batch(&self, lines: &[&str]) -> Batch {
        let mut batch = Batch::new(self.names.clone(), lines.len());
        let mut cells = Vec::with_capacity(lines.len());
        let mut text = String::new();
        for line in lines {
            cells.push(Cell::text(0, text.len() as u32, line.len() as u32));
            text.push_str(line);
        }
        batch.adopt_text(Arc::new(text));
        batch.set_column(self.message, cells);
        batch.set_column(self.timestamp, vec![Cell::timestamp(1_767_225_600_000_000_000); lines.len()]);
        for (field, value) in [(self.version, "1"), (self.path, "/var/log/route53.log")] {
            let cell = batch.text_cell(value);
            batch.set_column(field, vec![cell; lines.len()]);
        }
        for (number, field) in self.others.iter().enumerate() {
            let cell = batch.text_cell(&format!("value {number:10}"));
            batch.set_column(*field, vec![cell; lines.len()]);
        }
        batch
    }
}

/// Passes copies of the batches through a chain; answers the processor time that it took, and what came out last.
pub(crate) fn pass(chain: &mut Chain, batches: &[Batch]) -> Result<(Duration, Option<Batch>)> {
    let copies: Vec<Batch> = batches.to_vec();
    let mut last = None;
    let began = thread_time();
    for batch in copies {
        let rows = batch.rows();
        let processed = chain.process(batch)?;
        if processed.batch.rows() != rows {
            bail!("{rows} events went in and {} came out", processed.batch.rows());
        }
        last = Some(processed.batch);
    }
    Ok((thread_time() - began, last))
}

/// Nanoseconds for each event of the batches.
pub(crate) fn for_each(time: Duration, batches: &[Batch]) -> f64 {
    time.as_nanos() as f64 / batches.iter().map(Batch::rows).sum::<usize>().max(1) as f64
}

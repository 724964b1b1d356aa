//! Delivers what was found missing: to the outputs that lack it, which find by its id whether it is there after all. No
//! position is written.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::assembly;
use crate::config::Config;
use crate::event::Batch;
use crate::output::dead_letter::DeadLetterPlace;
use crate::output::{self, DeadLetter, DeadLetters, Output, OutputContext, Waiting};

/// The outputs that are open, by their number.
pub(super) struct Deliverer<'a> {
    config: &'a Config,
    outputs: HashMap<usize, Arc<dyn Output>>,
    stop: CancellationToken,
}

impl<'a> Deliverer<'a> {
    pub(super) fn new(config: &'a Config, stop: CancellationToken) -> Self {
        Deliverer { config, outputs: HashMap::new(), stop }
    }

    /// Delivers events to an output; they are stored, set aside or dropped by a rule of the user's when this answers.
    ///
    /// # Errors
    /// When the output cannot be opened or cannot go on, and when a stop comes.
    pub(super) async fn send(&mut self, number: usize, events: Batch) -> Result<()> {
        let output = match self.outputs.get(&number) {
            Some(open) => open.clone(),
            None => self.open(number).await?,
        };
        output.send(Arc::new(events)).await?;
        Ok(())
    }

    /// Writes dead letters of events that a filter sets aside.
    ///
    /// # Errors
    /// When a stop comes while that is waited for.
    pub(super) async fn set_aside(&self, letters: Vec<DeadLetter>) -> Result<()> {
        self.letters(assembly::default_place(self.config))?.write(letters).await?;
        Ok(())
    }

    fn letters(&self, place: DeadLetterPlace) -> Result<DeadLetters> {
        let pipeline = &self.config.pipeline;
        let waiting = Arc::<Waiting>::default();
        DeadLetters::open(place, pipeline.dead_letter.limits, &pipeline.name, waiting, self.stop.clone())
            .context("cannot open the dead letters")
    }

    async fn open(&mut self, number: usize) -> Result<Arc<dyn Output>> {
        let output = self.config.outputs.get(number).context("there is no such output")?;
        let place = output.dead_letter.clone().unwrap_or_else(|| assembly::default_place(self.config));
        let context = OutputContext {
            name: output.name.clone(),
            pipeline: self.config.pipeline.name.clone(),
            dead_letters: Arc::new(self.letters(place)?),
            waiting: Arc::default(),
            counts: Arc::default(),
            stop: self.stop.clone(),
        };
        let opened = output::open(output.options.clone(), context).await;
        let opened: Arc<dyn Output> =
            Arc::from(opened.with_context(|| format!("cannot open output {}", output.name))?);
        self.outputs.insert(number, opened.clone());
        Ok(opened)
    }
}

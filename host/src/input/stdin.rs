//! Standard input, line by line, to its end.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::events::EventMaker;
use super::lines::{Filled, LineCutter, Lines};
use super::{Input, InputContext, InputCounters, Read};
use crate::ledger::Position;

/// Longer lines are cut.
const MAX_LINE_BYTES: usize = 2 << 20;
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;

/// Opens standard input.
///
/// # Errors
/// When the thread that reads it cannot be started.
pub fn open(context: InputContext) -> Result<impl Input + use<>> {
    open_source(std::io::stdin(), context)
}

/// A thread of its own reads the source: nothing can wake a read of a terminal, and the process must be able to end.
fn open_source(mut source: impl std::io::Read + Send + 'static, context: InputContext) -> Result<Stdin> {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let read = move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let outcome = match source.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Ok(0) => break,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let failed = outcome.is_err();
            if sender.blocking_send(outcome).is_err() || failed {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .context("cannot start a thread for standard input")?;
    let counters = Arc::new(InputCounters::default());
    let (maker, _) = EventMaker::new(&context, &[], counters.clone());
    let cutter = LineCutter::new(0, MAX_LINE_BYTES);
    Ok(Stdin { context, maker, counters, chunks, chunk: Cursor::default(), cutter, ended: false })
}

/// The open input.
pub(super) struct Stdin {
    context: InputContext,
    maker: EventMaker,
    counters: Arc<InputCounters>,
    chunks: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    chunk: Cursor<Vec<u8>>,
    cutter: LineCutter,
    ended: bool,
}

impl Input for Stdin {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>> {
        Box::pin(self.next_batch())
    }

    fn counters(&self) -> Arc<InputCounters> {
        self.counters.clone()
    }
}

impl Stdin {
    async fn next_batch(&mut self) -> Result<Option<Read>> {
        let mut lines = Lines::new(self.context.batch_size);
        let mut first_line = None;
        while !self.ended {
            let filled = self.cutter.fill(&mut self.chunk, &mut lines).context("cannot cut lines")?;
            if filled == Filled::Full {
                break;
            }
            if !lines.is_empty() && first_line.is_none() {
                first_line = Some(Instant::now());
            }
            let deadline = first_line.map(|time| time + self.context.batch_delay);
            let chunk = tokio::select! {
                biased;
                () = self.context.stop.cancelled() => break,
                chunk = self.chunks.recv() => chunk,
                () = sleep_until(deadline) => break,
            };
            match chunk {
                Some(chunk) => self.chunk = Cursor::new(chunk.context("cannot read standard input")?),
                None => {
                    self.cutter.finish(&mut lines);
                    self.ended = true;
                }
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        Ok(Some(Read {
            events: line_events(&self.maker, &self.counters, lines),
            position: Position::default(),
        }))
    }
}

/// The events of lines, with the time of reading.
fn line_events(maker: &EventMaker, counters: &InputCounters, lines: Lines) -> crate::event::Batch {
    let cut: Vec<bool> = lines.rows().iter().map(|line| line.cut).collect();
    let (text, messages) = lines.into_text(counters);
    let mut events = maker.events(text, messages, super::events::now());
    maker.tag_cut_lines(&mut events, cut);
    maker.decorate(&mut events);
    events
}

/// Waits until a time; for ever without one.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Codec, testing};

    #[tokio::test]
    async fn lines_to_the_end() {
        let text = "one\r\n\ntwo\n".repeat(500) + "last";
        let mut context = testing::context(Codec::Plain);
        context.batch_size = 64;
        let mut input = open_source(Cursor::new(text.into_bytes()), context).unwrap();
        let events = testing::all(&mut input, None).await;
        let messages = testing::messages(&events);
        assert_eq!(messages.len(), 1501);
        assert_eq!(messages[..3], ["one", "", "two"]);
        assert_eq!(messages[1500], "last");
        assert_eq!(events[0].document["@version"], "1");
        assert_eq!(events[0].identity, 0);
    }

    #[tokio::test]
    async fn few_lines_do_not_wait_for_many_and_a_stop_ends() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let context = testing::context(Codec::Plain);
        let stop = context.stop.clone();
        let mut input = open_source(reader, context).unwrap();
        std::io::Write::write_all(&mut writer, b"one\ntw").unwrap();
        let events = testing::next(&mut input, None).await.expect("a line is there");
        assert_eq!(testing::messages(&events), ["one"]);
        stop.cancel();
        assert_eq!(testing::next(&mut input, None).await, None);
    }
}

//! The output to the terminal or a pipe: a line of JSON for each event, or Logstash's `rubydebug` form. One write a batch.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::rubydebug::write_rubydebug;
use super::turns::Turns;
use super::{Delivery, Output, OutputContext, OutputGone};
use crate::config::Section;
use crate::event::{Batch, Documents};

/// The options of `stdout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StdoutOptions {
    /// How an event is printed.
    pub codec: StdoutCodec,
}

/// How `stdout` prints an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdoutCodec {
    /// A JSON object a line.
    #[default]
    JsonLines,
    /// Ruby's pretty form of a map, as Logstash prints it.
    Rubydebug,
}

/// Reads the options from their section.
pub fn read_options(section: &mut Section) -> StdoutOptions {
    let codec = match section.one_of("codec", &["json_lines", "rubydebug"]).as_deref() {
        Some("rubydebug") => StdoutCodec::Rubydebug,
        _ => StdoutCodec::JsonLines,
    };
    StdoutOptions { codec }
}

/// Opens the output.
///
/// # Errors
/// Never; it is a `Result` as that of the other outputs.
pub fn open(options: StdoutOptions, _context: OutputContext) -> Result<Box<dyn Output>> {
    Ok(Box::new(Stdout { options, turns: Turns::default(), text: Arc::default() }))
}

struct Stdout {
    options: StdoutOptions,
    turns: Turns,
    /// The text of the last batch: its memory is the next one's.
    text: Arc<Mutex<Vec<u8>>>,
}

/// A text that became longer is let go.
const KEPT_BYTES: usize = 16 << 20;

impl Output for Stdout {
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>> {
        let codec = self.options.codec;
        let mut turn = self.turns.take();
        async move {
            turn.come().await;
            let delivered = events.rows() as u64;
            let text = self.text.clone();
            let written = tokio::task::spawn_blocking(move || {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.clear();
                write_text(&events, codec, &mut text);
                let mut stdout = io::stdout().lock();
                let written = stdout.write_all(&text).and_then(|()| stdout.flush());
                if text.capacity() > KEPT_BYTES {
                    *text = Vec::new();
                }
                written
            });
            match written.await.context("the writer to stdout broke")? {
                Ok(()) => Ok(Delivery { delivered, ..Delivery::default() }),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputGone.into()),
                Err(error) => Err(error).context("cannot write to stdout"),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

fn write_text(events: &Batch, codec: StdoutCodec, text: &mut Vec<u8>) {
    let mut documents = Documents::new(events);
    for row in 0..events.rows() {
        match codec {
            StdoutCodec::JsonLines => documents.write(row, text),
            StdoutCodec::Rubydebug => write_rubydebug(&documents.fields(row), text),
        }
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FieldReference, Value};

    #[test]
    fn a_line_an_event() {
        let mut batch = Batch::new(Arc::default(), 2);
        let field = batch.intern(&FieldReference::from_fragments(["message"]));
        let cell = batch.cell_for(Value::Text("a\nb"));
        batch.column_mut(field)[1] = cell;
        let mut text = Vec::new();
        write_text(&batch, StdoutCodec::JsonLines, &mut text);
        assert_eq!(String::from_utf8_lossy(&text), "{}\n{\"message\":\"a\\nb\"}\n");
    }

    #[test]
    fn options() {
        let mut section = Section::parse("codec = \"rubydebug\"");
        assert_eq!(read_options(&mut section).codec, StdoutCodec::Rubydebug);
        assert_eq!(section.into_problems(), Vec::<String>::new());
        let mut section = Section::parse("codec = \"rubydebg\"");
        assert_eq!(read_options(&mut section).codec, StdoutCodec::JsonLines);
        assert!(section.into_problems()[0].contains("did you mean \"rubydebug\"?"));
    }
}

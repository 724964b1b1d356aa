//! The log: to stderr, as text or JSON lines, with secrets masked. What is logged is left to the parts.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use weir::config::Secrets;

use super::terminal;

#[derive(Args)]
pub(super) struct LogOptions {
    /// What is logged: error, warn, info, debug or trace, or directives such as `weir::input=debug,warn`. Default: the
    /// environment variable WEIR_LOG, else info
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Log")]
    log: Option<String>,

    /// The form of the log on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Log")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Starts logging for the rest of the process.
///
/// # Errors
/// When the level is none; the message says what is.
pub(super) fn start(options: &LogOptions, secrets: &Secrets) -> Result<(), String> {
    let (level, source) = match (&options.log, std::env::var("WEIR_LOG")) {
        (Some(level), _) => (level.clone(), "--log"),
        (None, Ok(level)) if !level.is_empty() => (level, "WEIR_LOG"),
        _ => ("info".to_owned(), "--log"),
    };
    // A level alone is that of Weir; the libraries below it only say what went wrong.
    let directives = match level.as_str() {
        "error" | "off" => level.clone(),
        "warn" | "info" | "debug" | "trace" => format!("warn,weir={level}"),
        _ => level.clone(),
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        format!("{source} {level:?}: {error}; it is error, warn, info, debug, trace or a list such as `weir=debug,warn`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(MaskedStderr { secrets: secrets.clone() })
        .with_ansi(terminal::stderr_takes_color());
    let started = match options.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start the log: {error}"))
}

/// Stderr with secrets masked. The subscriber writes a whole line at once.
#[derive(Clone)]
struct MaskedStderr {
    secrets: Secrets,
}

impl<'a> MakeWriter<'a> for MaskedStderr {
    type Writer = MaskedStderr;

    fn make_writer(&'a self) -> MaskedStderr {
        self.clone()
    }
}

impl Write for MaskedStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(self.secrets.mask(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

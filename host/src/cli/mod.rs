//! The commands, one file each. Results go to stdout, everything else to stderr; the exit code is 0 when done, 1 when
//! failed, 2 for a wrong command line or pipeline file. What commands do is left to the library.

mod audit;
mod build;
mod check;
mod demo;
mod dlq;
mod help_filter;
mod inspect;
mod logging;
mod new;
mod pipeline_files;
mod run;
mod status;
mod swap;
mod terminal;
mod test;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use weir::config::Secrets;

/// The exit code for a command line or a pipeline file that cannot be used.
const USAGE: u8 = 2;

/// Reads events, passes them through sandboxed WebAssembly filters, and writes them where they belong.
#[derive(Parser)]
#[command(
    name = "weir",
    version,
    max_term_width = 100,
    after_help = "Try it: `weir demo` needs no file, no account and no network."
)]
struct CommandLine {
    #[command(flatten)]
    log: logging::LogOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::RunCommand),
    Check(check::CheckOptions),
    Status(status::StatusOptions),
    Audit(audit::AuditCommand),
    Swap(swap::SwapOptions),
    Test(test::TestOptions),
    Demo(demo::DemoOptions),
    Dlq(dlq::DlqOptions),
    HelpFilter(help_filter::HelpFilterOptions),
    New(new::NewOptions),
    Build(build::BuildOptions),
    Inspect(inspect::InspectOptions),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Runs the command that the command line names.
pub(crate) fn main() -> ExitCode {
    let CommandLine { log, command } = CommandLine::parse();
    let secrets = Secrets::default();
    let result = match logging::start(&log, &secrets) {
        Ok(()) => run(command, &secrets),
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", terminal::error_label(), secrets.mask(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, secrets: &Secrets) -> Result<ExitCode> {
    match command {
        Command::Run(options) => run::run(&options, secrets),
        Command::Status(options) => status::run(&options, secrets),
        Command::Audit(options) => audit::run(&options, secrets),
        Command::Swap(options) => swap::run(&options, secrets),
        Command::Check(options) => check::run(&options, secrets),
        Command::Test(options) => test::run(&options, secrets),
        Command::Demo(options) => demo::run(&options),
        Command::Dlq(options) => dlq::run(&options, secrets),
        Command::HelpFilter(options) => help_filter::run(&options),
        Command::New(options) => new::run(&options),
        Command::Build(options) => build::run(&options),
        Command::Inspect(options) => inspect::run(&options),
    }
}

/// `weir … | head` ends quietly.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<weir::output::OutputGone>()
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Where compiled filters are kept between runs of commands that have no `state_dir`: the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    let named =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))?;
    folder.is_absolute().then(|| folder.join("weir"))
}

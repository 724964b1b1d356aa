//! `weir new`: a filter's project to begin with.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use weir::author::{check_name, create_project};

use super::USAGE;
use super::terminal::error_label;

/// Makes the project of a new filter: a small one in Rust that does something, its cases, and all it needs
///
/// Nothing is fetched. Building it needs Rust with the target wasm32-unknown-unknown, and a few crates from Rust's registry.
#[derive(Args)]
#[command(after_help = "Example: weir new my-filter, then weir build my-filter, then weir test my-filter")]
pub(super) struct NewOptions {
    /// The filter's name: lower case letters, digits and dashes
    #[arg(value_name = "NAME")]
    name: String,

    /// The folder in which the project's folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

pub(super) fn run(options: &NewOptions) -> Result<ExitCode> {
    if let Err(error) = check_name(&options.name) {
        eprintln!("{}: {error:#}", error_label());
        return Ok(ExitCode::from(USAGE));
    }
    let folder = create_project(&options.path, &options.name)?;
    let folder = folder.strip_prefix(".").unwrap_or(&folder).display().to_string();
    let name = &options.name;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "made {folder}: src/lib.rs is the filter, cases/ says what it must do\n")?;
    let commands = [
        (format!("weir build {folder}"), format!("makes {name}.wasm")),
        (format!("weir test {folder}"), "runs its cases through it".to_owned()),
        (format!("weir inspect {folder}/{name}.wasm"), "says what it is".to_owned()),
    ];
    let longest = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    for (command, what) in commands {
        writeln!(stdout, "  {command:longest$}   {what}")?;
    }
    Ok(ExitCode::SUCCESS)
}

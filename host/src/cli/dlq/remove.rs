//! `weir dlq remove`: gives dead letters up.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use weir::config::Secrets;
use weir::output::dead_letter::LetterId;
use weir::replay;

use super::{Selection, count, folders, some_folder};

/// Removes dead letters without delivering them
///
/// They are marked as done with; a file goes when all its letters are. Say which letters, or --all.
#[derive(Args)]
#[command(after_help = "Examples:
  weir dlq remove pipeline.toml 1:0 1:412
  weir dlq remove pipeline.toml --plugin elasticsearch --until 2026-11-01
  weir dlq remove pipeline.toml --all")]
pub(super) struct RemoveOptions {
    /// A pipeline file, its state_dir, or a folder of dead letters
    #[arg(value_name = "PLACE")]
    place: PathBuf,

    /// Letters, as `weir dlq list` names them
    #[arg(value_name = "LETTER")]
    letters: Vec<LetterId>,

    #[command(flatten)]
    selection: Selection,

    /// All letters
    #[arg(long)]
    all: bool,
}

pub(super) fn run(options: &RemoveOptions, secrets: &Secrets) -> Result<ExitCode> {
    if options.letters.is_empty() && options.selection.is_empty() && !options.all {
        bail!("say which letters are to be removed (`weir dlq remove --help`), or --all");
    }
    let folders = match folders(&options.place, secrets) {
        Ok(folders) => some_folder(folders)?,
        Err(code) => return Ok(code),
    };
    let mut removed = 0;
    for folder in folders.iter().filter(|folder| folder.exists()) {
        removed += replay::remove(folder, &options.selection.filter(&options.letters))?;
    }
    writeln!(std::io::stdout().lock(), "removed {}", count(removed, "letter"))?;
    Ok(ExitCode::SUCCESS)
}

//! Weir as its users run it: the release binary with a pipeline file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::measure::{self, Usage};

/// A pipeline in a folder of its own.
pub(crate) struct Pipeline {
    folder: PathBuf,
    program: PathBuf,
}

impl Pipeline {
    /// Writes the file. `options` are those of `[pipeline]`; its state is in the folder, as that of a service is.
    pub(crate) fn new(program: &Path, folder: &Path, options: &str, sections: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let text = format!(
            "[pipeline]\nname = \"bench\"\nstate_dir = \"state\"\n{options}\n{}",
            sections.join("\n")
        );
        std::fs::write(folder.join("pipeline.toml"), text)?;
        Ok(Pipeline { folder: folder.to_owned(), program: program.to_owned() })
    }

    /// Runs it to the end of its input, anew: what it compiled before is kept, what it read is forgotten. Its documents go
    /// to `stdout`.
    pub(crate) fn run(&self, stdout: File) -> Result<Usage> {
        self.forget(false)?;
        let log = self.folder.join("log");
        measure::run(self.command()?.stdout(stdout)).with_context(|| format!("its log is {}", log.display()))
    }

    /// What runs it once, as its state is.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .args(["run", "pipeline.toml"])
            .current_dir(&self.folder)
            .env_remove("WEIR_LOG")
            .stdin(Stdio::null())
            .stderr(File::create(self.folder.join("log"))?);
        Ok(command)
    }

    /// Removes the state; with `code` also what was compiled.
    pub(crate) fn forget(&self, code: bool) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("state")) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if code || entry.file_name() != "cache" {
                    std::fs::remove_dir_all(entry.path())?;
                }
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

//! Standard input, line by line, to its end.

use anyhow::{Result, bail};

use super::{Input, InputContext};

/// Opens standard input.
///
/// # Errors
/// When the thread that reads it cannot be started.
pub fn open(_context: InputContext) -> Result<impl Input + use<>> {
    bail!("stdin is not read yet") as Result<super::sample::Sample>
}

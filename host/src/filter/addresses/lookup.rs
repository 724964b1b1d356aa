//! Looking up a column of addresses. Addresses repeat, so what was found for a text is kept, and most rows cost one look
//! into a table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::definition::ChainEnvironment;
use super::super::host_functions::LookupAnswer;
use super::super::interface::{NO_VALUE, Texts};
use super::address_text;
use super::database::{Database, Databases, Version};
use super::kept::Shared;
use super::kernel_texts::KernelTexts;

/// The most values that one lookup gives: rows times paths.
const MOST_VALUES: usize = 1 << 20;

/// The most paths of one lookup, and fragments of a path.
const MOST_PATHS: usize = 64;

/// How often a file is looked at whether it was replaced.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A database that a guest has opened.
pub(in super::super) struct OpenDatabase {
    databases: Arc<Databases>,
    database: Arc<Database>,
    looked: Instant,
    /// What was found in it for the paths that were asked for last.
    kept: Option<Arc<Shared>>,
}

impl OpenDatabase {
    /// Opens what a guest's options name: one of the environment's own databases, or a file.
    pub(in super::super) fn open(
        databases: &Arc<Databases>,
        environment: &ChainEnvironment,
        name: &str,
    ) -> anyhow::Result<Self> {
        let database = databases.open(environment, name)?;
        Ok(OpenDatabase { databases: databases.clone(), database, looked: Instant::now(), kept: None })
    }

    /// The type text inside the file.
    pub(in super::super) fn kind(&self) -> &str {
        &self.database.reader.metadata().database_type
    }

    /// Looks up a text a row (wit/filter.wit, `database.lookup`). Errors are bad arguments: the guest's end.
    pub(in super::super) fn lookup(
        &mut self,
        addresses: &Texts,
        text: &[u8],
        paths: &[Vec<String>],
        kernel_texts: &mut KernelTexts,
    ) -> wasmtime::Result<LookupAnswer> {
        let rows = addresses.starts.len();
        if addresses.lens.len() != rows {
            wasmtime::bail!("the addresses have {rows} starts and {} lengths", addresses.lens.len());
        }
        if paths.len() > MOST_PATHS || paths.iter().any(|path| path.len() > MOST_PATHS) {
            wasmtime::bail!("more than {MOST_PATHS} paths, or fragments of a path");
        }
        if rows.saturating_mul(paths.len().max(1)) > MOST_VALUES {
            wasmtime::bail!("{rows} rows with {} paths are too many for one lookup", paths.len());
        }
        let mut row_addresses = Vec::with_capacity(rows);
        for (start, length) in addresses.starts.iter().zip(&addresses.lens) {
            if *length == NO_VALUE {
                row_addresses.push(None);
                continue;
            }
            let (start, length) = (*start as usize, *length as usize);
            let Some(address) = start.checked_add(length).and_then(|end| text.get(start..end)) else {
                wasmtime::bail!("an address lies outside of the text");
            };
            row_addresses.push((length <= address_text::LONGEST).then_some(address));
        }
        self.look_again();
        let kept = match &self.kept {
            Some(kept) if kept.is_of(paths) => kept,
            _ => self.kept.insert(self.database.kept(paths)),
        };
        let Some(answer) = kept.look_up(&self.database, &row_addresses, kernel_texts) else {
            wasmtime::bail!("the texts of this batch's lookups are too long");
        };
        Ok(answer)
    }

    /// Takes up a new version of the file. One that cannot be read is said, and the old one stays.
    fn look_again(&mut self) {
        if self.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        self.looked = Instant::now();
        let Some((path, version)) = &self.database.file else { return };
        // Between the steps of being replaced a file may not be there; then it is looked at again later.
        if !Version::of(path).is_ok_and(|now| now != *version) {
            return;
        }
        match self.databases.open_file(path) {
            Ok(database) => {
                tracing::info!(database = %path.display(), "the address database was replaced");
                self.database = database;
                self.kept = None;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the new address database is not used");
            }
        }
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;

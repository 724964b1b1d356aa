//! Which events lie in the dead letters, and who set them aside. Read anew when the folders have changed: a pipeline may run
//! meanwhile. An event costs 32 bytes here, and the folder's limits bound how many there are.

use std::path::PathBuf;

use anyhow::Result;

use crate::event::Identity;
use crate::output::dead_letter::{self, Line};

/// The dead letters of a pipeline.
pub(super) struct Letters {
    folders: Vec<PathBuf>,
    /// Files and their lengths when they were read.
    files: Vec<(PathBuf, u64)>,
    /// Sorted; with the number of who set it aside.
    entries: Vec<(Identity, u32)>,
    plugins: Vec<String>,
}

impl Letters {
    /// Nothing is read yet.
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Letters { folders, files: Vec::new(), entries: Vec::new(), plugins: Vec::new() }
    }

    /// Reads the folders if they have changed; answers whether they have. Blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn reload(&mut self) -> Result<bool> {
        let mut files = Vec::new();
        let folders: Vec<PathBuf> = self.folders.iter().filter(|folder| folder.exists()).cloned().collect();
        for folder in &folders {
            for segment in dead_letter::segments(folder)? {
                let marks = segment.path.with_extension("done");
                let marked = marks.metadata().map_or(0, |metadata| metadata.len());
                files.extend([(segment.path, segment.bytes), (marks, marked)]);
            }
        }
        if files == self.files {
            return Ok(false);
        }
        self.entries.clear();
        for folder in &folders {
            for line in dead_letter::read_folder(folder)? {
                if let Line::Letter(found) = line?
                    && !found.is_done
                    && found.letter.identity != 0
                {
                    let plugin = self.number_of(&found.letter.plugin);
                    self.entries.push((found.letter.identity, plugin));
                }
            }
        }
        self.entries.sort_unstable();
        self.files = files;
        Ok(true)
    }

    fn number_of(&mut self, plugin: &str) -> u32 {
        let known = self.plugins.iter().position(|known| known == plugin);
        let number = known.unwrap_or_else(|| {
            self.plugins.push(plugin.to_owned());
            self.plugins.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Who set an event aside: names of filters, branches and outputs.
    pub(super) fn of(&self, identity: Identity) -> impl Iterator<Item = &str> {
        let first = self.entries.partition_point(|(other, _)| *other < identity);
        let entries = self.entries.get(first..).unwrap_or_default().iter();
        let of_event = entries.take_while(move |(other, _)| *other == identity);
        of_event.filter_map(|(_, plugin)| self.plugins.get(*plugin as usize)).map(String::as_str)
    }
}

//! Which letters of a segment are done with: replayed or removed. A mark is a line of its letter's place and checksum, so
//! that a mark never holds for another letter. Half-written marks do not count: their letters are replayed again, and
//! stored once by their identity.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::folder::end_of_whole_lines;
use super::reading::LetterId;

/// Offset and checksum of the letters of one segment that are done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(HashMap<u64, u32>);

impl Marks {
    /// Reads the marks beside a segment; there may be none.
    pub(super) fn read(path: &Path) -> Result<Marks> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Marks::default()),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(Marks(whole.lines().filter_map(parse).collect()))
    }

    /// Whether the letter at this place with this checksum is done with.
    pub(super) fn has(&self, offset: u64, checksum: u32) -> bool {
        self.0.get(&offset) == Some(&checksum)
    }

    /// Writes marks, which are on disk when this answers; whether the file is new.
    pub(super) fn append(path: &Path, letters: &[(LetterId, u32)]) -> Result<bool> {
        let mut lines = String::with_capacity(letters.len() * 30);
        for (id, checksum) in letters {
            lines.push_str(&format!("{} {checksum:08x}\n", id.offset));
        }
        let describe = || format!("cannot write {}", path.display());
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path);
        let mut file = file.with_context(describe)?;
        let before = end_of_whole_lines(&mut file).with_context(describe)?;
        file.set_len(before).with_context(describe)?;
        if let Err(error) = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()) {
            let _ = file.set_len(before);
            return Err(error).with_context(describe);
        }
        Ok(is_new)
    }
}

fn parse(line: &str) -> Option<(u64, u32)> {
    let (offset, checksum) = line.split_once(' ')?;
    if checksum.len() != 8 {
        return None;
    }
    Some((offset.parse().ok()?, u32::from_str_radix(checksum, 16).ok()?))
}

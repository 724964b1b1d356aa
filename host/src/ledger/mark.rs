//! The mark beside the ledger's file: its version and how many commits it has had. redb answers a damaged page by the state
//! before the last commit, and an empty file by a new one, and says nothing of it; the mark knows better. It is the
//! content of the file by which one process locks the ledger.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"weir led";
const LENGTH: usize = 32;

/// What a ledger's file is known to hold at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) version: u64,
    pub(super) commits: u64,
}

/// The open and locked file of the mark.
#[derive(Debug)]
pub(super) struct MarkFile(File);

impl MarkFile {
    /// `None` when another process, or another ledger of this one, has it.
    pub(super) fn lock(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(MarkFile(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// `None` when there is none yet, or when it was damaged itself.
    pub(super) fn read(&self) -> io::Result<Option<Mark>> {
        let mut bytes = [0; LENGTH];
        match self.0.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let number = |start: usize| {
            bytes[start..start + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let mark = Mark { version: number(8), commits: number(16) };
        Ok((bytes == mark.bytes()).then_some(mark))
    }

    /// Needs no room on the disk beyond that of the first mark. Not synced: after a loss of power it may be a few commits
    /// behind, and then notices a little less.
    pub(super) fn write(&self, mark: Mark) -> io::Result<()> {
        self.0.write_all_at(&mark.bytes(), 0)
    }
}

impl Mark {
    fn bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.version.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.commits.to_be_bytes());
        let digest = Sha256::digest(&bytes[..24]);
        bytes[24..].copy_from_slice(&digest[..8]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let file = MarkFile::lock(&path).unwrap().unwrap();
        assert!(MarkFile::lock(&path).unwrap().is_none(), "it is locked");
        assert_eq!(file.read().unwrap(), None);
        let mark = Mark { version: 1, commits: 70_000 };
        file.write(mark).unwrap();
        assert_eq!(file.read().unwrap(), Some(mark));
        for place in 0..LENGTH {
            let mut bytes = mark.bytes();
            bytes[place] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(file.read().unwrap(), None, "byte {place}");
        }
    }
}

//! How far a file was read, as the ledger keeps it, and how a file is known again: by device and inode, as long as what
//! was read last still stands where it stood.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Identity;

/// How many bytes of a line are compared.
const COMPARED_BYTES: usize = 256;

/// The first byte of all keys of this input in the ledger.
pub(super) const KEYS: u8 = b'f';

/// The key of a file: device and inode, which stay when it is renamed.
pub(super) type FileKey = [u8; 17];

pub(super) fn file_key(metadata: &Metadata) -> FileKey {
    let mut key = [KEYS; 17];
    key[1..9].copy_from_slice(&metadata.dev().to_be_bytes());
    key[9..].copy_from_slice(&metadata.ino().to_be_bytes());
    key
}

/// When the file was made, in nanoseconds since 1970; 0 where the file system does not say.
pub(super) fn birth(metadata: &Metadata) -> u64 {
    let since = metadata.created().ok().and_then(|created| created.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// For people who look into the ledger.
    pub(super) path: String,
    /// The first byte that no event has, in the file or in what it unpacks to.
    pub(super) offset: u64,
    /// The offset lies in a line that is left out up to its end.
    #[serde(default)]
    pub(super) skipping: bool,
    /// How often the file was emptied and written anew.
    pub(super) generation: u32,
    pub(super) birth: u64,
    /// Hash of the first line's first bytes, once there is a line.
    pub(super) first_line: Option<u64>,
    /// A piece of a line that was read, to know the file again.
    pub(super) last_piece: Option<Piece>,
    /// When it was written, in seconds since 1970.
    pub(super) time: i64,
}

/// Some bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    at: u64,
    length: u64,
    hash: u64,
}

impl Progress {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Remembers the last line that is in a batch, and the first if it is that.
    pub(super) fn note_line(&mut self, offset: u64, line: &[u8]) {
        if offset == 0 {
            self.first_line = Some(hash(&line[..line.len().min(COMPARED_BYTES)]));
        }
        let skipped = line.len().saturating_sub(COMPARED_BYTES);
        let piece = &line[skipped..];
        if !piece.is_empty() {
            let (at, length) = (offset + skipped as u64, piece.len() as u64);
            self.last_piece = Some(Piece { at, length, hash: hash(piece) });
        }
    }

    /// Who the file is in the identity of its events. Nothing of it depends on how far the file was read.
    pub(super) fn identity(&self, key: &FileKey) -> Identity {
        let mut digest = Sha256::new();
        digest.update(b"weir file\0");
        digest.update(key);
        digest.update(self.birth.to_be_bytes());
        digest.update(self.generation.to_be_bytes());
        digest.update(self.first_line.unwrap_or(0).to_be_bytes());
        first_16(&digest.finalize())
    }

    /// Whether an open stream still has what was read of it; the stream is then at `offset`.
    pub(super) fn continues(&self, stream: &mut Stream) -> io::Result<bool> {
        let Some(piece) = &self.last_piece else { return stream.skip_to(self.offset) };
        if piece.at + piece.length > self.offset || piece.length > COMPARED_BYTES as u64 {
            return Ok(false);
        }
        if !stream.skip_to(piece.at)? {
            return Ok(false);
        }
        let mut found = Vec::new();
        stream.read_part(piece.length, &mut found)?;
        Ok(hash(&found) == piece.hash && stream.skip_to(self.offset)?)
    }
}

/// The identity of the event whose line begins at `offset`: different for every offset, as the factor is odd.
pub(super) fn line_identity(file: Identity, offset: u64) -> Identity {
    file.wrapping_add(Identity::from(offset).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn hash(bytes: &[u8]) -> u64 {
    (first_16(&Sha256::digest(bytes)) >> 64) as u64
}

fn first_16(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The bytes of a file, unpacked if it is gzip.
pub(super) struct Stream {
    source: Source,
    position: u64,
}

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<io::BufReader<File>>>),
}

impl Stream {
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        let mut magic = Vec::new();
        Read::by_ref(&mut file).take(2).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        let source = if magic == [0x1f, 0x8b] {
            let reader = io::BufReader::with_capacity(64 << 10, file);
            Source::Gzip(Box::new(MultiGzDecoder::new(reader)))
        } else {
            Source::Plain(file)
        };
        Ok(Stream { source, position: 0 })
    }

    pub(super) fn is_gzip(&self) -> bool {
        matches!(self.source, Source::Gzip(_))
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match &self.source {
            Source::Plain(file) => file.metadata(),
            Source::Gzip(decoder) => decoder.get_ref().get_ref().metadata(),
        }
    }

    /// Moves on to `offset`; `false` if the stream ends before or is past it.
    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<bool> {
        match &mut self.source {
            Source::Plain(file) => {
                if file.metadata()?.len() < offset {
                    return Ok(false);
                }
                file.seek(SeekFrom::Start(offset))?;
                self.position = offset;
            }
            Source::Gzip(_) => {
                let Some(distance) = offset.checked_sub(self.position) else { return Ok(false) };
                io::copy(&mut Read::by_ref(self).take(distance), &mut io::sink())?;
            }
        }
        Ok(self.position == offset)
    }

    fn read_part(&mut self, length: u64, out: &mut Vec<u8>) -> io::Result<()> {
        Read::by_ref(self).take(length).read_to_end(out)?;
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            Source::Plain(file) => file.read(buffer)?,
            Source::Gzip(decoder) => decoder.read(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

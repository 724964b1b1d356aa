//! Databases as files: read once however many filters and workers use one, and read again when the file is replaced.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result, anyhow};
use maxminddb::Reader;

use super::super::definition::ChainEnvironment;
use super::kept::Shared;

/// All databases that are open in the process.
#[derive(Default)]
pub(in super::super) struct Databases {
    open: Mutex<HashMap<PathBuf, (Version, Weak<Database>)>>,
}

/// One version of one database.
pub(super) struct Database {
    pub(super) reader: Reader<Content>,
    /// The file and its version; `None` for one that is no file.
    pub(super) file: Option<(PathBuf, Version)>,
    /// What was found in it lately, for each list of paths that somebody asks for.
    kept: Mutex<Vec<Weak<Shared>>>,
}

/// What tells one version of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// A database's bytes. They are read into memory and not mapped: a mapped file that is overwritten or cut in place would
/// end the process, whoever did it, and nothing here could show that nobody does.
pub(super) enum Content {
    Read(Vec<u8>),
    Embedded(Cow<'static, [u8]>),
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Content::Read(bytes) => bytes,
            Content::Embedded(bytes) => bytes,
        }
    }
}

impl Databases {
    /// Opens what a guest's options name: one of the environment's own databases, or a file.
    pub(super) fn open(&self, environment: &ChainEnvironment, name: &str) -> Result<Arc<Database>> {
        if let Some((_, bytes)) = environment.databases.iter().find(|(known, _)| known == name) {
            let reader = read(Content::Embedded(bytes.clone())).with_context(|| name.to_owned())?;
            return Ok(Arc::new(Database { reader, file: None, kept: Mutex::default() }));
        }
        self.open_file(&environment.folder.join(name))
    }

    /// Opens a file, or finds that this version of it is open.
    pub(super) fn open_file(&self, path: &Path) -> Result<Arc<Database>> {
        let named = || format!("address database {}", path.display());
        let path = path.canonicalize().with_context(named)?;
        let version = Version::of(&path).with_context(named)?;
        {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((known, database)) = open.get(&path)
                && *known == version
                && let Some(database) = database.upgrade()
            {
                return Ok(database);
            }
        }
        let bytes = std::fs::read(&path).with_context(named)?;
        let reader = read(Content::Read(bytes)).with_context(named)?;
        let database =
            Arc::new(Database { reader, file: Some((path.clone(), version)), kept: Mutex::default() });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, database)| database.strong_count() > 0);
        open.insert(path, (version, Arc::downgrade(&database)));
        Ok(database)
    }
}

impl Database {
    /// What is kept of lookups of these paths.
    pub(super) fn kept(&self, paths: &[Vec<String>]) -> Arc<Shared> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known.strong_count() > 0);
        for known in kept.iter() {
            if let Some(known) = known.upgrade().filter(|known| known.is_of(paths)) {
                return known;
            }
        }
        let new = Arc::new(Shared::new(paths));
        kept.push(Arc::downgrade(&new));
        new
    }

    /// For how many lists of paths something is kept.
    #[cfg(test)]
    pub(super) fn lists(&self) -> usize {
        self.kept.lock().unwrap().iter().filter(|known| known.strong_count() > 0).count()
    }
}

impl Version {
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Version {
            inode: metadata.ino(),
            length: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        })
    }
}

fn read(content: Content) -> Result<Reader<Content>> {
    if content.as_ref().is_empty() {
        return Err(anyhow!("it is empty"));
    }
    Reader::from_source(content).map_err(|error| anyhow!("it is no database in MaxMind's format: {error}"))
}

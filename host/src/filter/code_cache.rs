//! Compiled code on disk, so that a start costs milliseconds. The folder is trusted as much as the program itself is, so
//! only one that nobody else can write is used; without one, guests are compiled anew each time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// How many files are kept; the oldest go first.
const MOST_FILES: usize = 64;

/// A folder of compiled code.
pub(super) struct CodeCache {
    folder: PathBuf,
    /// The compiler's version and settings.
    settings: [u8; 32],
}

impl CodeCache {
    pub(super) fn new(folder: &Path, engine: &wasmtime::Engine) -> Self {
        let mut hasher = DigestHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        CodeCache { folder: folder.join("code"), settings: hasher.0.finalize().into() }
    }

    /// The code of a component, if it was compiled by this engine before.
    pub(super) fn read(&self, engine: &wasmtime::Engine, component: [u8; 32]) -> Option<Component> {
        match self.try_read(engine, component) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "compiled code in the cache is not used");
                None
            }
        }
    }

    fn try_read(&self, engine: &wasmtime::Engine, component: [u8; 32]) -> Result<Option<Component>> {
        if !self.folder.exists() {
            return Ok(None);
        }
        self.check_folder()?;
        let path = self.path(component);
        let mut file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        check_owner(&path, &file.metadata()?)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).with_context(|| path.display().to_string())?;
        let Some((digest, code)) = content.split_first_chunk::<32>() else {
            bail!("{} is cut off", path.display())
        };
        if *digest != <[u8; 32]>::from(Sha256::digest(code)) {
            bail!("{} is damaged", path.display());
        }
        // SAFETY: `deserialize` asks for bytes that this wasmtime's compiler wrote and nobody changed. The folder and the
        // file belong to this user and nobody else may write them (checked above on the open file, and no link was
        // followed); `write` puts nothing there but `Component::serialize` of what this program compiled, under a name
        // made of the component's digest and the compiler's version and settings; the digest shows that it is whole.
        // The bytes are a copy in memory, so they do not change any more. Who can write the folder can replace this
        // program as well.
        let component = unsafe { Component::deserialize(engine, code) }?;
        Ok(Some(component))
    }

    /// Keeps the code of a component. That it could not be kept is said, and is no failure.
    pub(super) fn write(&self, component: [u8; 32], code: &Component) {
        if let Err(error) = self.try_write(component, code) {
            tracing::warn!(error = format!("{error:#}"), "compiled code is not kept");
        }
    }

    fn try_write(&self, component: [u8; 32], code: &Component) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .with_context(|| self.folder.display().to_string())?;
        self.check_folder()?;
        self.remove_oldest()?;
        let code = code.serialize()?;
        let path = self.path(component);
        let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
        let written = write_file(&unfinished, &code).and_then(|()| Ok(fs::rename(&unfinished, &path)?));
        if written.is_err() {
            // A file that could not be written whole is of no use; that it may not be there at all is no matter.
            drop(fs::remove_file(&unfinished));
        }
        written.with_context(|| path.display().to_string())
    }

    fn remove_oldest(&self) -> Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort();
        let too_many = (files.len() + 1).saturating_sub(MOST_FILES);
        for (_, path) in files.iter().take(too_many) {
            fs::remove_file(path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn check_folder(&self) -> Result<()> {
        check_owner(&self.folder, &fs::symlink_metadata(&self.folder)?)
    }

    fn path(&self, component: [u8; 32]) -> PathBuf {
        let key = Sha256::new().chain_update(component).chain_update(self.settings).finalize();
        let mut name = String::with_capacity(70);
        for byte in key {
            name.push_str(&format!("{byte:02x}"));
        }
        self.folder.join(name + ".cwasm")
    }
}

fn write_file(path: &Path, code: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    // A name that is there after a crash must not stand for an empty file; the digest would only tell that it is.
    File::sync_all(&file)?;
    Ok(())
}

/// Only this user may be able to write it, and it must be no link.
fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user || metadata.mode() & 0o022 != 0 || metadata.is_symlink() {
        bail!(
            "{} must belong to the user {user} and be writable by nobody else (chmod go-w), as it holds machine code",
            path.display()
        );
    }
    Ok(())
}

/// Feeds what is hashed to SHA-256, which is the same in every build, as the standard library's hash is not.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        u64::from_le_bytes(self.0.clone().finalize()[..8].try_into().unwrap_or_default())
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn component(engine: &wasmtime::Engine) -> Component {
        // An empty component.
        Component::from_binary(engine, b"\0asm\x0d\0\x01\0").expect("a valid component")
    }

    fn only_file(cache: &CodeCache) -> PathBuf {
        fs::read_dir(&cache.folder).expect("the folder").next().expect("a file").expect("readable").path()
    }

    #[test]
    fn code_is_kept_and_damage_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = wasmtime::Engine::default();
        let cache = CodeCache::new(folder.path(), &engine);
        assert!(cache.read(&engine, [7; 32]).is_none());
        cache.write([7; 32], &component(&engine));
        assert!(cache.try_read(&engine, [7; 32]).expect("readable").is_some());
        assert!(cache.read(&engine, [8; 32]).is_none());
        let file = only_file(&cache);
        let mut content = fs::read(&file).expect("content");
        *content.last_mut().expect("not empty") ^= 1;
        fs::write(&file, content).expect("written");
        assert!(cache.try_read(&engine, [7; 32]).expect_err("damaged").to_string().contains("damaged"));
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = wasmtime::Engine::default();
        let cache = CodeCache::new(folder.path(), &engine);
        cache.write([7; 32], &component(&engine));
        let file = only_file(&cache);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).expect("set");
        assert!(cache.try_read(&engine, [7; 32]).is_err());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
        assert!(cache.try_read(&engine, [7; 32]).is_ok());
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o777)).expect("set");
        assert!(cache.try_read(&engine, [7; 32]).is_err());
        assert!(cache.try_write([9; 32], &component(&engine)).is_err());
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = wasmtime::Engine::default();
        let cache = CodeCache::new(folder.path(), &engine);
        for number in 0..MOST_FILES as u8 + 5 {
            cache.write([number; 32], &component(&engine));
        }
        assert_eq!(fs::read_dir(&cache.folder).expect("the folder").count(), MOST_FILES);
    }
}

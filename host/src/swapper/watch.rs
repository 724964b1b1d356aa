//! Looking at files for changes: those of a pipeline (`weir run --watch`), those of cases (`weir test --watch`). They are looked at twice a second, which costs a few
//! microseconds, works on every file system and for files that are replaced by others of their name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Swapper;

/// How often files are looked at. A change counts when a file has been the same twice: one that is being written is left
/// alone.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files with the time of their last change and their length; `None`: a file is not there.
pub type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Looks at files.
pub fn look_at(files: impl IntoIterator<Item = PathBuf>) -> Seen {
    let look = |path: PathBuf| {
        let found = path.metadata().ok();
        let found = found.and_then(|found| Some((found.modified().ok()?, found.len())));
        (path, found)
    };
    files.into_iter().map(look).collect()
}

/// Reloads the pipeline file whenever it, a component that it names or a component's cases changed. Does not end by itself.
pub async fn watch_files(swapper: Arc<Swapper>) {
    let look = |swapper: &Arc<Swapper>| {
        let swapper = swapper.clone();
        tokio::task::spawn_blocking(move || seen(&swapper))
    };
    let Ok(mut taken) = look(&swapper).await else { return };
    let mut last = taken.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(now) = look(&swapper).await else { return };
        if now == taken || now != last {
            last = now;
            continue;
        }
        let swapper = swapper.clone();
        let reload = move || {
            // What came of it is logged and shown by `weir status`.
            let _ = swapper.reload(&|_| {});
            seen(&swapper)
        };
        let Ok(after) = tokio::task::spawn_blocking(reload).await else { return };
        // What changed while it was taken is looked at again; files that are new to the list were just read.
        let is_known = |path: &PathBuf| now.iter().any(|(known, _)| known == path);
        taken = after.iter().filter(|(path, _)| !is_known(path)).cloned().collect();
        taken.extend(now.iter().filter(|(path, _)| after.iter().any(|(other, _)| other == path)).cloned());
        let place = |path: &PathBuf| after.iter().position(|(other, _)| other == path);
        taken.sort_by_key(|(path, _)| place(path));
        last = after;
    }
}

fn seen(swapper: &Swapper) -> Seen {
    look_at(swapper.files())
}

//! Notices that files or folders changed, by content.
//!
//! Kubernetes swaps mounted ConfigMaps and Secrets by renaming a `..data` symlink, so neither the file's
//! own inode nor its modification time can be trusted. The folder is watched for hints and the content is
//! hashed to decide; a poll at an interval covers what the kernel does not tell.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// One hint is as good as many.
const HINT_CAPACITY: usize = 1;

/// Hints come in bursts while a folder is rewritten; the content is hashed once they rest.
const SETTLE: Duration = Duration::from_millis(50);

/// How deep folders are walked.
const MAX_DEPTH: usize = 8;

/// Watches files and folders. Dropping it ends the watch.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    interval: Duration,
    fingerprint: u64,
    hints: mpsc::Receiver<()>,
    // Held for its drop; absent where the kernel has no watch to give.
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Starts watching. What is there now counts as seen; a path may come to exist later.
    pub fn new(paths: Vec<PathBuf>, interval: Duration) -> Self {
        let (hint, hints) = mpsc::channel(HINT_CAPACITY);
        let watcher = notify::recommended_watcher(move |_event| {
            // A full channel holds a hint already.
            let _ = hint.try_send(());
        });
        let watcher = match watcher {
            Ok(mut watcher) => {
                for path in &paths {
                    let folder = if path.is_dir() {
                        Some(path.as_path())
                    } else {
                        path.parent()
                    };
                    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
                    let folder = folder.unwrap_or_else(|| Path::new("."));
                    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                        tracing::debug!(path = %folder.display(), %error, "polling only");
                    }
                }
                Some(watcher)
            }
            Err(error) => {
                tracing::debug!(%error, "no file notifications, polling only");
                None
            }
        };
        let fingerprint = fingerprint(&paths);
        Self {
            paths,
            interval,
            fingerprint,
            hints,
            _watcher: watcher,
        }
    }

    /// Waits until the content differs from what was last seen.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change.
    pub async fn changed(&mut self) {
        loop {
            let hinted = tokio::select! {
                hint = self.hints.recv() => hint.is_some(),
                () = tokio::time::sleep(self.interval) => false,
            };
            if hinted {
                tokio::time::sleep(SETTLE).await;
            }
            let paths = self.paths.clone();
            let now = tokio::task::spawn_blocking(move || fingerprint(&paths)).await;
            if let Ok(now) = now
                && now != self.fingerprint
            {
                self.fingerprint = now;
                return;
            }
            if !hinted && self.hints.is_closed() {
                // Without a watcher `recv` answers at once; the interval is all there is to wait for.
                tokio::time::sleep(self.interval).await;
            }
        }
    }
}

/// Returns a number that changes when names or content under `paths` do.
pub fn fingerprint(paths: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        path.hash(&mut hasher);
        if let Err(error) = hash_path(path, MAX_DEPTH, &mut hasher) {
            error.kind().hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn hash_path(path: &Path, depth: usize, hasher: &mut DefaultHasher) -> io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
        names.sort();
        for name in names {
            // `..data` and the folder it points to are Kubernetes' own; the files link into them.
            if name.to_string_lossy().starts_with("..") || depth == 0 {
                continue;
            }
            name.hash(hasher);
            if let Err(error) = hash_path(&path.join(&name), depth - 1, hasher) {
                error.kind().hash(hasher);
            }
        }
    } else if metadata.is_file() {
        std::fs::read(path)?.hash(hasher);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Lays a folder out as kubelet does and returns the file in it.
    fn mounted(root: &Path, version: &str, content: &str) -> PathBuf {
        let folder = root.join(format!("..{version}"));
        std::fs::create_dir(&folder).expect("create");
        std::fs::write(folder.join("config.yaml"), content).expect("write");
        let staged = root.join("..data_tmp");
        symlink(format!("..{version}"), &staged).expect("link");
        std::fs::rename(&staged, root.join("..data")).expect("swap");
        let file = root.join("config.yaml");
        if std::fs::symlink_metadata(&file).is_err() {
            symlink("..data/config.yaml", &file).expect("link");
        }
        file
    }

    #[tokio::test]
    async fn symlink_swap_is_noticed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = mounted(dir.path(), "v1", "a");
        let mut watch = FileWatch::new(vec![file], Duration::from_millis(100));
        mounted(dir.path(), "v2", "b");
        tokio::time::timeout(DEADLINE, watch.changed())
            .await
            .expect("noticed");
    }

    #[tokio::test]
    async fn swap_to_equal_content_is_no_change() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = mounted(dir.path(), "v1", "a");
        let before = fingerprint(std::slice::from_ref(&file));
        mounted(dir.path(), "v2", "a");
        assert_eq!(fingerprint(&[file]), before);
    }

    #[tokio::test]
    async fn file_that_comes_to_exist_is_noticed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("later.yaml");
        let mut watch = FileWatch::new(vec![file.clone()], Duration::from_millis(100));
        std::fs::write(file, "x").expect("write");
        tokio::time::timeout(DEADLINE, watch.changed())
            .await
            .expect("noticed");
    }

    #[test]
    fn folder_changes_by_name_and_by_content() {
        let dir = tempfile::tempdir().expect("tempdir");
        let paths = [dir.path().to_owned()];
        let empty = fingerprint(&paths);
        std::fs::write(dir.path().join("a.yaml"), "1").expect("write");
        let one = fingerprint(&paths);
        std::fs::rename(dir.path().join("a.yaml"), dir.path().join("b.yaml")).expect("rename");
        let renamed = fingerprint(&paths);
        assert!(empty != one && one != renamed);
    }
}

//! Writing the file that Prometheus reads.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct FilesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes `content` to `path` through a temporary file and a rename, unless it is there already.
/// Returns whether it wrote.
///
/// # Errors
/// A folder that cannot be written.
pub async fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool, FilesError> {
    if tokio::fs::read(path).await.is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let failed = |source| FilesError {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    tokio::fs::write(&temporary, content)
        .await
        .map_err(failed)?;
    tokio::fs::rename(&temporary, path).await.map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_equal_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out").join("prometheus.yaml");
        assert!(write_if_changed(&path, b"a").await.unwrap());
        assert!(!write_if_changed(&path, b"a").await.unwrap());
        assert!(write_if_changed(&path, b"b").await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"b");
    }
}

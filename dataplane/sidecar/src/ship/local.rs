//! Prometheus' data folder: which blocks lie there, and a snapshot of one that Prometheus may delete
//! at any moment.

use std::io;
use std::path::{Path, PathBuf};

use model::ulid::BlockId;
use tsdb::meta::BlockMeta;

use super::ShipError;

/// Where snapshots are made, below the data folder so that hard links work.
const STAGING: &str = "thanos/upload";

/// What a look at the data folder found.
#[derive(Debug, Default)]
pub struct LocalBlocks {
    /// In order of their first sample.
    pub blocks: Vec<BlockMeta>,
    /// Folders whose `meta.json` cannot be read, with the reason.
    pub unreadable: Vec<(BlockId, String)>,
}

/// Lists the blocks of a data folder.
///
/// # Errors
/// A folder that cannot be listed.
pub async fn list(folder: &Path) -> Result<LocalBlocks, ShipError> {
    let failed = |err| ShipError::local("list", folder, err);
    let mut found = LocalBlocks::default();
    let mut entries = match tokio::fs::read_dir(folder).await {
        // Prometheus has not started yet.
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(failed)?,
    };
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<BlockId>().ok())
        else {
            continue;
        };
        let path = entry.path().join(tsdb::meta::FILE_NAME);
        match tokio::fs::read(&path).await {
            // Prometheus is writing or deleting it.
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => found.unreadable.push((id, err.to_string())),
            Ok(data) => match BlockMeta::decode(&data) {
                Ok(meta) if meta.ulid == id => found.blocks.push(meta),
                Ok(meta) => found
                    .unreadable
                    .push((id, format!("its meta.json is of {}", meta.ulid))),
                Err(err) => found.unreadable.push((id, err.to_string())),
            },
        }
    }
    found.blocks.sort_by_key(|meta| (meta.min_time, meta.ulid));
    Ok(found)
}

/// Links the files of a block into the staging folder, where Prometheus does not delete them.
///
/// # Errors
/// A block that is gone, or a file system without hard links.
pub async fn snapshot(folder: &Path, id: BlockId) -> Result<PathBuf, ShipError> {
    let (from, to) = (
        folder.join(id.to_string()),
        folder.join(STAGING).join(id.to_string()),
    );
    let task = tokio::task::spawn_blocking(move || link_block(&from, &to).map(|()| to));
    task.await.unwrap_or_else(|err| {
        Err(ShipError::local(
            "link",
            Path::new(""),
            io::Error::other(err),
        ))
    })
}

fn link_block(from: &Path, to: &Path) -> Result<(), ShipError> {
    remove_folder(to)?;
    let chunks = to.join("chunks");
    std::fs::create_dir_all(&chunks).map_err(|err| ShipError::local("create", &chunks, err))?;
    let link = |source: &Path, target: &Path| {
        std::fs::hard_link(source, target).map_err(|err| ShipError::local("link", source, err))
    };
    let segments = from.join("chunks");
    let entries =
        std::fs::read_dir(&segments).map_err(|err| ShipError::local("list", &segments, err))?;
    for entry in entries {
        let entry = entry.map_err(|err| ShipError::local("list", &segments, err))?;
        link(&entry.path(), &chunks.join(entry.file_name()))?;
    }
    link(&from.join("index"), &to.join("index"))
}

fn remove_folder(folder: &Path) -> Result<(), ShipError> {
    match std::fs::remove_dir_all(folder) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(ShipError::local("remove", folder, err))
        }
        _ => Ok(()),
    }
}

/// Removes the snapshots that an earlier run left.
///
/// # Errors
/// A folder that cannot be removed.
pub async fn remove_snapshots(folder: &Path) -> Result<(), ShipError> {
    let staging = folder.join(STAGING);
    tokio::task::spawn_blocking(move || remove_folder(&staging))
        .await
        .unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_block(folder: &Path, id: BlockId, min_time: i64) {
        let block = folder.join(id.to_string());
        std::fs::create_dir_all(block.join("chunks")).unwrap();
        std::fs::write(block.join("chunks/000001"), b"chunks").unwrap();
        std::fs::write(block.join("index"), b"index").unwrap();
        let meta = BlockMeta::new(id, min_time, min_time + 1);
        std::fs::write(block.join("meta.json"), meta.encode()).unwrap();
    }

    #[tokio::test]
    async fn blocks_come_by_time_and_unreadable_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            BlockId::from_parts(3, 0),
            BlockId::from_parts(2, 0),
            BlockId::from_parts(1, 0),
        );
        write_block(dir.path(), a, 10);
        write_block(dir.path(), b, 20);
        write_block(dir.path(), c, 30);
        std::fs::write(dir.path().join(c.to_string()).join("meta.json"), "{").unwrap();
        std::fs::create_dir(dir.path().join("wal")).unwrap();
        std::fs::create_dir(dir.path().join(BlockId::from_parts(9, 9).to_string())).unwrap();
        let found = list(dir.path()).await.unwrap();
        assert_eq!(
            found.blocks.iter().map(|m| m.ulid).collect::<Vec<_>>(),
            [a, b]
        );
        assert_eq!(
            found
                .unreadable
                .iter()
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
            [c]
        );
    }

    #[tokio::test]
    async fn a_snapshot_outlives_its_block() {
        let dir = tempfile::tempdir().unwrap();
        let id = BlockId::from_parts(1, 1);
        write_block(dir.path(), id, 0);
        let snapshot = snapshot(dir.path(), id).await.unwrap();
        std::fs::remove_dir_all(dir.path().join(id.to_string())).unwrap();
        assert_eq!(
            std::fs::read(snapshot.join("chunks/000001")).unwrap(),
            b"chunks"
        );
        assert_eq!(std::fs::read(snapshot.join("index")).unwrap(), b"index");
        remove_snapshots(dir.path()).await.unwrap();
        assert!(!snapshot.try_exists().unwrap());
    }
}

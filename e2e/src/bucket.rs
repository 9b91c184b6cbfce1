//! What lies in the embedded object storage: its server keeps each object as a file of its volume.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The meta.json of every block, by path.
///
/// # Errors
/// Where a folder or a meta.json cannot be read.
pub fn metas(volumes: &Path) -> Result<Vec<Value>> {
    let mut metas = Vec::new();
    for volume in entries(volumes)? {
        // Made by the operator for its only bucket, below the folder that the server is given.
        let bucket = volume.join("buckets/hindsight");
        if !bucket.is_dir() {
            continue;
        }
        for block in entries(&bucket)? {
            let meta = block.join("meta.json");
            // A block is there once its meta.json is, for that is uploaded last.
            if meta.is_file() {
                let text = fs::read_to_string(&meta)?;
                let meta = serde_json::from_str(&text)
                    .with_context(|| format!("read {}", meta.display()))?;
                metas.push(meta);
            }
        }
    }
    Ok(metas)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

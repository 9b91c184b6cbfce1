//! The file in which the shipper remembers what it uploaded; Prometheus reads the same file where it
//! is told to delay compaction until a block is uploaded.

use std::io;
use std::path::Path;

use model::ulid::BlockId;
use serde::{Deserialize, Serialize};

use super::ShipError;

/// The file's name in the data folder unless a flag says otherwise.
pub const FILE_NAME: &str = "thanos.shipper.json";

const VERSION: u32 = 1;

/// What was uploaded and is still on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipperState {
    pub version: u32,
    #[serde(default)]
    pub uploaded: Vec<BlockId>,
}

impl Default for ShipperState {
    fn default() -> Self {
        Self {
            version: VERSION,
            uploaded: Vec::new(),
        }
    }
}

impl ShipperState {
    /// Reads the file. One that is missing or torn counts as empty: the bucket is asked then.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub async fn read(path: &Path) -> Result<Self, ShipError> {
        match tokio::fs::read(path).await {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(err) => Err(ShipError::local("read", path, err)),
            Ok(data) => Ok(serde_json::from_slice::<Self>(&data)
                .ok()
                .filter(|state| state.version == VERSION)
                .unwrap_or_else(|| {
                    tracing::warn!(file = %path.display(), "not a shipper file, asking the bucket");
                    Self::default()
                })),
        }
    }

    /// Writes the file through a temporary one and a rename.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn write(&self, path: &Path) -> Result<(), ShipError> {
        let mut text = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, tabs);
        self.serialize(&mut serializer)
            .map_err(|err| ShipError::local("write", path, io::Error::other(err)))?;
        let temporary = path.with_extension("json.tmp");
        tokio::fs::write(&temporary, &text)
            .await
            .map_err(|err| ShipError::local("write", &temporary, err))?;
        tokio::fs::rename(&temporary, path)
            .await
            .map_err(|err| ShipError::local("write", path, err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_torn_files_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(
            ShipperState::read(&path).await.unwrap(),
            ShipperState::default()
        );
        let state = ShipperState {
            uploaded: vec![BlockId::from_parts(1, 2)],
            ..Default::default()
        };
        state.write(&path).await.unwrap();
        assert_eq!(ShipperState::read(&path).await.unwrap(), state);
        std::fs::write(&path, "{\"version\":").unwrap();
        assert_eq!(
            ShipperState::read(&path).await.unwrap(),
            ShipperState::default()
        );
    }
}

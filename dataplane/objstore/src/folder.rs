//! Conditional writes into a folder: a lock that all processes on it share, then compare and rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::digest;

use crate::conditional::{Condition, Version};

/// Beside the objects at the root. Names that end in `#` and digits are never listed as objects.
const LOCK_FILE: &str = ".hindsight-lock#0";

/// How often a parent folder is made again that a deletion beside us removed for being empty.
const PARENT_ATTEMPTS: u32 = 16;

/// Why a conditional write did not happen.
#[derive(Debug)]
pub(crate) enum PutIfError {
    /// The condition does not hold.
    Conflict,
    /// The folder.
    Io(io::Error),
}

impl From<io::Error> for PutIfError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Returns the version of an object with this content: equal content is equal, so that a writer never takes
/// the place of anything but what it has read.
pub(crate) fn version(content: &[u8]) -> Version {
    let sum = digest::digest(&digest::SHA256, content);
    let hex = sum.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Version {
        etag: Some(hex.collect()),
        generation: None,
    }
}

/// Writes `content` to `file` below `root` where `condition` holds. Blocks while another writer holds the
/// folder's lock, which is for the time of one such write. Readers see the old content or the new one.
///
/// # Errors
/// [`PutIfError::Conflict`] when the condition does not hold.
pub(crate) fn put_if(
    root: &Path,
    file: &Path,
    content: &[u8],
    condition: &Condition,
) -> Result<Version, PutIfError> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join(LOCK_FILE))?;
    // Held until the file is closed, by the kernel's hand if this process dies.
    lock.lock()?;
    let current = match fs::read(file) {
        Ok(current) => Some(version(&current)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let holds = match condition {
        Condition::Absent => current.is_none(),
        Condition::Unchanged(wanted) => current.is_some_and(|current| current.etag == wanted.etag),
    };
    if !holds {
        return Err(PutIfError::Conflict);
    }
    replace(file, content)?;
    drop(lock);
    Ok(version(content))
}

fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let parent = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Only the holder of the lock writes this name.
    let mut staged = file.as_os_str().to_owned();
    staged.push("#0");
    let staged = PathBuf::from(staged);
    let mut out = create_below(parent, &staged)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&staged, file)?;
    File::open(parent)?.sync_all()
}

fn create_below(parent: &Path, file: &Path) -> io::Result<File> {
    let mut attempts = 0;
    loop {
        fs::create_dir_all(parent)?;
        match File::create(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < PARENT_ATTEMPTS => {
                attempts += 1;
            }
            done => return done,
        }
    }
}

//! A bucket over the `object_store` crate.

use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attributes as StoreAttributes, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion,
};
use tokio::io::AsyncRead;

use crate::azure::Container;
use crate::bucket::{Attributes, Bucket, Content, Entry, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::{BucketError, ErrorKind, Operation};
use crate::folder::{self, PutIfError};
use crate::page_cache::CachedFolder;
use crate::parts;

/// How objects are written.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    /// Objects larger than this go in parts of this size.
    pub(crate) part_bytes: u64,
    /// Whether parts may be used at all.
    pub(crate) multipart: bool,
    /// Put on each object.
    pub(crate) attributes: StoreAttributes,
}

/// The piece in which a local folder is written.
const FOLDER_PART_BYTES: u64 = 1 << 20;

/// A bucket that any `object_store` implementation holds.
#[derive(Debug, Clone)]
pub struct ObjectStoreBucket {
    store: Arc<dyn ObjectStore>,
    name: Arc<str>,
    write: WriteOptions,
    conditional: Conditional,
    container: Option<Arc<Container>>,
    /// Present for a folder: what is in memory need not be waited for.
    cached: Option<Arc<CachedFolder>>,
}

/// How conditions of writes are kept.
#[derive(Debug, Clone)]
enum Conditional {
    /// By the store.
    Native,
    /// By a lock in this folder.
    Folder(Arc<LocalFileSystem>, Arc<FilePath>),
}

impl ObjectStoreBucket {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, name: &str, write: WriteOptions) -> Self {
        Self {
            store,
            name: name.into(),
            write,
            conditional: Conditional::Native,
            container: None,
            cached: None,
        }
    }

    /// Makes `container` before the first use.
    pub(crate) fn in_container(self, container: Container) -> Self {
        let container = Some(Arc::new(container));
        Self { container, ..self }
    }

    /// Waits until the store is made ready for its first use.
    async fn ready(&self, operation: Operation, name: &str) -> Result<(), BucketError> {
        let Some(container) = &self.container else {
            return Ok(());
        };
        container.ensure().await.map_err(|error| {
            let kind = match error.is_retryable() {
                true => ErrorKind::Unavailable,
                false => ErrorKind::Internal,
            };
            BucketError::new(operation, &self.name, name, kind, error)
        })
    }

    /// Creates an empty bucket in memory.
    pub fn in_memory(name: &str) -> Self {
        let attributes = StoreAttributes::new();
        let write = WriteOptions {
            part_bytes: FOLDER_PART_BYTES,
            multipart: true,
            attributes,
        };
        Self::new(Arc::new(InMemory::new()), name, write)
    }

    /// Opens a folder as a bucket, creating it where it does not exist.
    ///
    /// # Errors
    /// When it cannot be created or is no folder.
    pub fn folder(directory: &FilePath) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(io::Error::other)?
            .with_automatic_cleanup(true)
            .with_fsync(true);
        let attributes = StoreAttributes::new();
        let write = WriteOptions {
            part_bytes: FOLDER_PART_BYTES,
            multipart: true,
            attributes,
        };
        let store = Arc::new(store);
        let cached = Some(Arc::new(CachedFolder::open(directory)?));
        Ok(Self {
            conditional: Conditional::Folder(Arc::clone(&store), directory.into()),
            cached,
            ..Self::new(store, &directory.display().to_string(), write)
        })
    }

    fn error(&self, operation: Operation, name: &str, error: object_store::Error) -> BucketError {
        BucketError::of_store(operation, &self.name, name, error)
    }

    /// Returns the store's name for an object, once the store is ready.
    async fn path(&self, operation: Operation, name: &str) -> Result<Path, BucketError> {
        if name.is_empty() {
            let kind = ErrorKind::Invalid;
            return Err(BucketError::new(
                operation,
                &self.name,
                name,
                kind,
                "the name is empty",
            ));
        }
        let path = Path::parse(name).map_err(|error| self.error(operation, name, error.into()))?;
        self.ready(operation, name).await?;
        Ok(path)
    }

    async fn put(&self, path: &Path, payload: PutPayload) -> object_store::Result<()> {
        self.put_mode(path, payload, PutMode::Overwrite)
            .await
            .map(drop)
    }

    async fn put_mode(
        &self,
        path: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> object_store::Result<PutResult> {
        let attributes = self.write.attributes.clone();
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        self.store.put_opts(path, payload, options).await
    }

    /// All of it on one blocking thread: a caller that gives up does not give up the lock half-way.
    async fn put_if_in_folder(
        &self,
        root: Arc<FilePath>,
        file: PathBuf,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        let put = move || folder::put_if(&root, &file, &content, &condition);
        let error = |kind, source: Box<dyn std::error::Error + Send + Sync>| {
            BucketError::new(Operation::Upload, &self.name, name, kind, source)
        };
        match tokio::task::spawn_blocking(put).await {
            Ok(Ok(version)) => Ok(version),
            Ok(Err(PutIfError::Conflict)) => Err(error(
                ErrorKind::Conflict,
                "the object is not the one expected".into(),
            )),
            Ok(Err(PutIfError::Io(io))) => Err(error(ErrorKind::Unavailable, io.into())),
            Err(join) => Err(error(ErrorKind::Internal, join.into())),
        }
    }

    /// Uploads what `source` yields, whose size may be known.
    async fn put_reader(
        &self,
        path: &Path,
        source: &mut (dyn AsyncRead + Send + Unpin),
        size: Option<u64>,
    ) -> Result<(), object_store::Error> {
        let smallest = size.map_or(0, |size| size.div_ceil(parts::MAX_PARTS));
        let part_bytes = self.write.part_bytes.max(smallest);
        let first = parts::read_part(
            source,
            if self.write.multipart {
                part_bytes
            } else {
                u64::MAX
            },
        )
        .await?;
        let first_len = parts::payload_len(&first);
        if !self.write.multipart || first_len < part_bytes {
            return self.put(path, first).await;
        }
        let attributes = self.write.attributes.clone();
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let mut upload = self.store.put_multipart_opts(path, options).await?;
        let sent = parts::send_parts(&mut *upload, first, source, part_bytes).await;
        match sent {
            Ok(()) => upload.complete().await.map(drop),
            Err(error) => {
                // Parts left behind would be paid for; failing to remove them changes nothing for the caller.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }
}

fn attributes(meta: ObjectMeta) -> Attributes {
    Attributes {
        size: meta.size,
        last_modified_ms: meta.last_modified.timestamp_millis(),
        etag: meta.e_tag,
    }
}

#[async_trait]
impl Bucket for ObjectStoreBucket {
    fn name(&self) -> &str {
        &self.name
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        let this = self.clone();
        let folder = folder.trim_matches('/').to_owned();
        let prefix = match Path::parse(&folder) {
            Ok(path) => (!folder.is_empty()).then_some(path),
            Err(error) => {
                let error = self.error(Operation::Iter, &folder, error.into());
                return stream::once(async { Err(error) }).boxed();
            }
        };
        let object = |meta: ObjectMeta| Entry {
            name: meta.location.to_string(),
            attributes: Some(attributes(meta)),
        };
        match listing {
            Listing::Recursive => stream::once(async move {
                this.ready(Operation::Iter, &folder).await?;
                let listed = this.store.list(prefix.as_ref());
                Ok(listed.map(move |listed| {
                    listed
                        .map(object)
                        .map_err(|error| this.error(Operation::Iter, &folder, error))
                }))
            })
            .try_flatten()
            .boxed(),
            Listing::Folder => stream::once(async move {
                this.ready(Operation::Iter, &folder).await?;
                let listed = this.store.list_with_delimiter(prefix.as_ref()).await;
                let listed = listed.map_err(|error| this.error(Operation::Iter, &folder, error))?;
                let folders = listed.common_prefixes.into_iter().map(|path| Entry {
                    name: format!("{path}/"),
                    attributes: None,
                });
                let entries: Vec<Entry> = folders
                    .chain(listed.objects.into_iter().map(object))
                    .collect();
                Ok(stream::iter(entries.into_iter().map(Ok)))
            })
            .try_flatten()
            .boxed(),
        }
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        let path = self.path(Operation::Get, name).await?;
        let read = async { self.store.get(&path).await?.bytes().await };
        read.await
            .map_err(|error| self.error(Operation::Get, name, error))
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let path = self.path(Operation::GetRange, name).await?;
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        let cached = self.cached.as_ref();
        if let Some(bytes) = cached.and_then(|cached| cached.range(path.as_ref(), &range)) {
            return Ok(bytes);
        }
        // Services in Go read a last byte behind 2^63 as no range at all.
        let wanted = if range.end > i64::MAX as u64 {
            GetRange::Offset(range.start)
        } else {
            GetRange::Bounded(range.clone())
        };
        let options = GetOptions {
            range: Some(wanted),
            ..GetOptions::default()
        };
        let read = async { self.store.get_opts(&path, options).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(bytes),
            Err(object_store::Error::NotFound { path, source }) => {
                let error = object_store::Error::NotFound { path, source };
                Err(self.error(Operation::GetRange, name, error))
            }
            Err(error) => {
                // Stores refuse a range behind the end each in their own way; the size settles it.
                match self.store.head(&path).await {
                    Ok(meta) if range.start >= meta.size => Ok(Bytes::new()),
                    _ => Err(self.error(Operation::GetRange, name, error)),
                }
            }
        }
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        let path = self.path(Operation::Exists, name).await?;
        match self.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error(Operation::Exists, name, error)),
        }
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        let path = self.path(Operation::Attributes, name).await?;
        let meta = self.store.head(&path).await;
        meta.map(attributes)
            .map_err(|error| self.error(Operation::Attributes, name, error))
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        let operation = Operation::Upload;
        let path = self.path(operation, name).await?;
        let local = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::Invalid,
                _ => ErrorKind::Internal,
            };
            BucketError::new(operation, &self.name, name, kind, error)
        };
        let uploaded = match content {
            Content::Bytes(bytes)
                if !self.write.multipart || bytes.len() as u64 <= self.write.part_bytes =>
            {
                self.put(&path, bytes.into()).await
            }
            Content::Bytes(bytes) => {
                let size = bytes.len() as u64;
                self.put_reader(&path, &mut io::Cursor::new(bytes), Some(size))
                    .await
            }
            Content::File(file) => {
                let mut file = tokio::fs::File::open(file).await.map_err(local)?;
                let size = file.metadata().await.map_err(local)?.len();
                self.put_reader(&path, &mut file, Some(size)).await
            }
            Content::Stream(stream) => {
                let mut reader = parts::StreamReader::new(stream);
                self.put_reader(&path, &mut reader, None).await
            }
        };
        uploaded.map_err(|error| self.error(operation, name, error))
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        let path = self.path(Operation::Get, name).await?;
        let read = async {
            let got = self.store.get(&path).await?;
            let (etag, generation) = (got.meta.e_tag.clone(), got.meta.version.clone());
            Ok((got.bytes().await?, Version { etag, generation }))
        };
        let (bytes, version) = read
            .await
            .map_err(|error| self.error(Operation::Get, name, error))?;
        Ok(match self.conditional {
            Conditional::Native => (bytes, version),
            Conditional::Folder(..) => {
                let version = folder::version(&bytes);
                (bytes, version)
            }
        })
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        let operation = Operation::Upload;
        let path = self.path(operation, name).await?;
        if let Conditional::Folder(store, root) = &self.conditional {
            let file = store.path_to_filesystem(&path);
            let file = file.map_err(|error| self.error(operation, name, error))?;
            return self
                .put_if_in_folder(Arc::clone(root), file, name, content, condition)
                .await;
        }
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Unchanged(Version { etag, generation }) => PutMode::Update(UpdateVersion {
                e_tag: etag,
                version: generation,
            }),
        };
        let put = self.put_mode(&path, content.into(), mode).await;
        let put = put.map_err(|error| self.error(operation, name, error))?;
        Ok(Version {
            etag: put.e_tag,
            generation: put.version,
        })
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let path = self.path(Operation::Delete, name).await?;
        let deleted = self.store.delete(&path).await;
        deleted.map_err(|error| self.error(Operation::Delete, name, error))
    }
}

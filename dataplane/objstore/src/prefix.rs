//! A bucket within a folder of another.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

use crate::bucket::{Attributes, Bucket, Content, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::BucketError;

/// Puts a prefix before each name on its way in and takes it off on its way out.
#[derive(Debug)]
pub struct Prefixed<B> {
    inner: B,
    /// With a `/` at its end.
    prefix: String,
}

impl<B: Bucket> Prefixed<B> {
    /// Creates the bucket of what is below `prefix` in `inner`.
    pub fn new(inner: B, prefix: &str) -> Self {
        Self {
            inner,
            prefix: format!("{}/", prefix.trim_matches('/')),
        }
    }

    /// An empty name stays empty, so that the bucket within refuses it.
    fn full(&self, name: &str) -> String {
        if name.is_empty() {
            String::new()
        } else {
            format!("{}{name}", self.prefix)
        }
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Prefixed<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        let prefix = self.prefix.clone();
        self.inner
            .iter(&format!("{}{folder}", self.prefix), listing)
            .map(move |entry| {
                entry.map(|mut entry| {
                    if let Some(rest) = entry.name.strip_prefix(&prefix) {
                        entry.name = rest.to_owned();
                    }
                    entry
                })
            })
            .boxed()
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.inner.get(&self.full(name)).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(&self.full(name), range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.inner.exists(&self.full(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.inner.attributes(&self.full(name)).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        self.inner.upload(&self.full(name), content).await
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.inner.get_versioned(&self.full(name)).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        self.inner
            .put_if(&self.full(name), content, condition)
            .await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.inner.delete(&self.full(name)).await
    }
}

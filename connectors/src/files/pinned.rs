//! Reads one version of a table's files or none: every read insists on the version that was listed.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::error::ConnectorError;

/// A store through which only certain versions of certain files can be read, and nothing written or listed.
#[derive(Debug)]
pub(super) struct PinnedFiles {
    store: Arc<dyn ObjectStore>,
    /// The tag of each file's version; [`object_store`] makes it from inode, time of change and size.
    tags: HashMap<Path, Option<String>>,
}

impl PinnedFiles {
    pub(super) fn new<'a>(store: Arc<dyn ObjectStore>, files: impl IntoIterator<Item = &'a ObjectMeta>) -> Self {
        let tags = files.into_iter().map(|file| (file.location.clone(), file.e_tag.clone())).collect();
        Self { store, tags }
    }
}

impl fmt::Display for PinnedFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} pinned files", self.tags.len())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for PinnedFiles {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(tag) = self.tags.get(location) else {
            return Err(refused("reading another file"));
        };
        let options = options.with_if_match(tag.clone());
        self.store.get_opts(location, options).await.map_err(|error| changed(location, error))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // A store's own way to read many ranges at once knows no versions.
        object_store::coalesce_ranges(
            ranges,
            |range| async move {
                self.get_opts(location, GetOptions::new().with_range(Some(range)))
                    .await?
                    .bytes()
                    .await
            },
            object_store::OBJECT_STORE_COALESCE_DEFAULT,
        )
        .await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(refused("writing"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("writing"))
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        Box::pin(futures::stream::once(async { Err(refused("deleting")) }))
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Box::pin(futures::stream::once(async { Err(refused("listing")) }))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, _: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list(prefix)
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(refused("listing"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(refused("copying"))
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        Err(refused("renaming"))
    }
}

fn changed(location: &Path, error: Error) -> Error {
    match error {
        Error::Precondition { .. } | Error::NotFound { .. } => {
            generic(ConnectorError::Changed { location: location.to_string() })
        }
        other => generic(ConnectorError::unavailable(location.to_string(), other)),
    }
}

fn refused(feature: &str) -> Error {
    generic(ConnectorError::Unsupported { feature: feature.to_owned(), advice: "the file is read only".to_owned() })
}

fn generic(error: ConnectorError) -> Error {
    Error::Generic { store: "files", source: Box::new(error) }
}

//! Reads one version of a table's files or none: every read insists on the version that was listed.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion_common_runtime::SpawnedTask;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::root::fault;
use super::version::Version;
use crate::error::ConnectorError;

/// No more room is made for what a server only says that it will send.
const BYTES_AHEAD: usize = 8 << 20;

/// A store through which only certain versions of certain files can be read, and nothing written or listed.
#[derive(Debug)]
pub(super) struct PinnedFiles {
    store: Arc<dyn ObjectStore>,
    versions: HashMap<Path, Version>,
}

impl PinnedFiles {
    /// # Errors
    /// A file of which nothing tells one version from another.
    pub(super) fn new<'a>(
        store: Arc<dyn ObjectStore>,
        files: impl IntoIterator<Item = &'a ObjectMeta>,
    ) -> Result<Self, ConnectorError> {
        let versions = files.into_iter().map(|file| Ok((file.location.clone(), Version::of(file)?)));
        Ok(Self { store, versions: versions.collect::<Result<_, ConnectorError>>()? })
    }

    fn file(&self, location: &Path) -> Result<File> {
        match self.versions.get(location) {
            Some(version) => {
                Ok(File { store: Arc::clone(&self.store), location: location.clone(), version: version.clone() })
            }
            None => Err(refused("reading another file")),
        }
    }
}

impl fmt::Display for PinnedFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} pinned files", self.versions.len())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for PinnedFiles {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.file(location)?.get(options).await.map_err(generic)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // A store's own way to read many ranges at once knows no versions.
        let file = self.file(location)?;
        object_store::coalesce_ranges(
            ranges,
            |range| file.clone().range(range).map(|bytes| bytes.map_err(generic)),
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
        Box::pin(stream::once(async { Err(refused("deleting")) }))
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Box::pin(stream::once(async { Err(refused("listing")) }))
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

/// One version of one file.
#[derive(Debug, Clone)]
struct File {
    store: Arc<dyn ObjectStore>,
    location: Path,
    version: Version,
}

impl File {
    /// A part of the file that is not there at once is read to its end by a task of its own: a reader that rests for a while keeps
    /// no answer waiting until its time is up.
    async fn get(self, options: GetOptions) -> Result<GetResult, ConnectorError> {
        if options.range.is_none() || options.head {
            return self.answer(options).await;
        }
        let location = self.shown();
        let ended = |error: tokio::task::JoinError| Err(ConnectorError::unavailable(location, error));
        let mut whole = Box::pin(async move {
            let answer = self.answer(options).await?;
            let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
            let bytes = self.part(answer).await?;
            let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
            Ok(GetResult { payload, meta, range, attributes })
        });
        if let Some(answer) = whole.as_mut().now_or_never() {
            return answer;
        }
        SpawnedTask::spawn(whole).await.unwrap_or_else(ended)
    }

    /// All of a part of the file, and no more of what is sent: a server may send without an end.
    async fn part(&self, answer: GetResult) -> Result<Bytes, ConnectorError> {
        let length = usize::try_from(answer.range.end - answer.range.start).map_err(|_| self.changed())?;
        let read = match answer.payload {
            GetResultPayload::Stream(sent) => at_most(sent, length).await,
            // Of a local file no more is read than the range.
            local => GetResult { payload: local, ..answer }.bytes().await.map(Some),
        };
        match read {
            Ok(Some(bytes)) if bytes.len() == length => Ok(bytes),
            Ok(_) => Err(self.changed()),
            Err(error) => Err(self.fault(error).await),
        }
    }

    async fn range(self, range: Range<u64>) -> Result<Bytes, ConnectorError> {
        let location = self.shown();
        let answer = self.get(GetOptions::new().with_range(Some(range))).await?;
        answer.bytes().await.map_err(|error| fault::of_store(&location, error))
    }

    /// The store's answer, if it is about the version that is meant: not every server heeds a condition.
    async fn answer(&self, options: GetOptions) -> Result<GetResult, ConnectorError> {
        match self.store.get_opts(&self.location, self.version.insist(options)).await {
            Ok(answer) if self.version.is_of(&answer.meta) => Ok(answer),
            Ok(_) | Err(Error::Precondition { .. } | Error::NotFound { .. }) => Err(self.changed()),
            Err(error) => Err(self.fault(error).await),
        }
    }

    async fn fault(&self, error: Error) -> ConnectorError {
        if fault::may_be_of_change(&error) && self.is_gone().await {
            return self.changed();
        }
        fault::of_store(self.location.as_ref(), error)
    }

    async fn is_gone(&self) -> bool {
        match self.store.head(&self.location).await {
            Ok(meta) => !self.version.is_of(&meta),
            Err(error) => matches!(error, Error::NotFound { .. }),
        }
    }

    fn changed(&self) -> ConnectorError {
        ConnectorError::Changed { location: self.shown() }
    }

    fn shown(&self) -> String {
        self.location.to_string()
    }
}

/// What is sent, or `None` as soon as it is more than `length`.
async fn at_most(mut sent: BoxStream<'static, Result<Bytes>>, length: usize) -> Result<Option<Bytes>> {
    let mut bytes = Vec::with_capacity(length.min(BYTES_AHEAD));
    while let Some(next) = sent.try_next().await? {
        if next.len() > length - bytes.len() {
            return Ok(None);
        }
        bytes.extend_from_slice(&next);
    }
    Ok(Some(bytes.into()))
}

fn refused(feature: &str) -> Error {
    generic(ConnectorError::Unsupported { feature: feature.to_owned(), advice: "the file is read only".to_owned() })
}

fn generic(error: ConnectorError) -> Error {
    Error::Generic { store: "files", source: Box::new(error) }
}

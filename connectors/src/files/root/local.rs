//! The files of a local directory, of which little is read where it is asked for, on threads that may wait for a disk: to hand it
//! to another one and to be woken by that takes longer than to read what the system has in memory. Much is read by threads of its
//! own, as the library does all.

use std::fmt;
use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::waiting::this_thread_may_wait;

/// More than this is read by another thread: whoever waits for a disk holds up nobody.
const LITTLE_BYTES: u64 = 1 << 20;

/// A local directory as a store.
#[derive(Debug)]
pub(super) struct LocalFiles(LocalFileSystem);

impl LocalFiles {
    /// # Errors
    /// A directory that is not there.
    pub(super) fn below(directory: &Path) -> Result<Self> {
        LocalFileSystem::new_with_prefix(directory).map(Self)
    }

    /// What a file is, or a little of it; `None` where the library is to answer, with an error of its own if there is one.
    fn at_once(&self, location: &ObjectPath, options: &GetOptions) -> Option<GetResult> {
        if options.range.is_none() && !options.head {
            return None;
        }
        // A pipe that nobody writes to is not waited for.
        let path = self.0.path_to_filesystem(location).ok()?;
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
        let meta = meta(location, &file.metadata().ok().filter(Metadata::is_file)?)?;
        options.check_preconditions(&meta).ok()?;
        let range = options.range.as_ref().map_or(Ok(0..meta.size), |range| range.as_range(meta.size)).ok()?;
        let bytes = if options.head { Bytes::new() } else { read(&file, &range)? };
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        Some(GetResult { payload, meta, range, attributes: Attributes::default() })
    }
}

fn read(file: &File, range: &Range<u64>) -> Option<Bytes> {
    let length = range.end.checked_sub(range.start).filter(|length| *length <= LITTLE_BYTES)?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, range.start).ok()?;
    Some(bytes.into())
}

/// As the library tells it: a listing and a read are of one version if they say the same.
fn meta(location: &ObjectPath, file: &Metadata) -> Option<ObjectMeta> {
    let modified = file.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let tag = format!("{:x}-{since:x}-{:x}", file.ino(), file.len());
    Some(ObjectMeta {
        location: location.clone(),
        last_modified: modified.into(),
        size: file.len(),
        e_tag: Some(tag),
        version: None,
    })
}

impl fmt::Display for LocalFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for LocalFiles {
    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        // There may be very many.
        tokio::task::coop::consume_budget().await;
        match this_thread_may_wait().then(|| self.at_once(location, &options)).flatten() {
            Some(answer) => Ok(answer),
            None => self.0.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    async fn put_opts(&self, location: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&ObjectPath>,
        offset: &ObjectPath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &ObjectPath, to: &ObjectPath, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, TryStreamExt};
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::waiting::let_this_thread_wait;

    #[tokio::test]
    async fn it_tells_what_the_library_tells() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), vec![7; 3 << 20]).unwrap();
        std::fs::create_dir(directory.path().join("b")).unwrap();
        let (own, library) =
            (LocalFiles::below(directory.path()).unwrap(), LocalFileSystem::new_with_prefix(directory.path()).unwrap());
        let file = ObjectPath::from("a");
        assert!(own.head(&file).now_or_never().is_none(), "a thread that answers calls does not wait");
        let_this_thread_wait();
        let listed: Vec<ObjectMeta> = own.list(None).try_collect().await.unwrap();
        // Nobody else is waited for.
        let head = own.head(&file).now_or_never().unwrap().unwrap();
        assert_eq!(head, library.head(&file).await.unwrap());
        assert_eq!(listed.as_slice(), std::slice::from_ref(&head));
        for range in [0..0, 5..(1 << 20) + 5, 5..(1 << 20) + 6, 0..3 << 20, (3 << 20) - 1..4 << 20, 4 << 20..5 << 20] {
            let asked = GetOptions::new().with_range(Some(range.clone())).with_if_match(head.e_tag.clone());
            let told = async |store: &dyn ObjectStore| {
                let answer = store.get_opts(&file, asked.clone()).await.map_err(|error| error.to_string())?;
                let (meta, range) = (answer.meta.clone(), answer.range.clone());
                Ok::<_, String>((meta, range, answer.bytes().await.map_err(|error| error.to_string())?))
            };
            assert_eq!(told(&own).await, told(&library).await, "{range:?}");
        }
        let changed = GetOptions::new().with_range(Some(0..1)).with_if_match(Some("another"));
        for path in [file, ObjectPath::from("b"), ObjectPath::from("c")] {
            let told = [own.get_opts(&path, changed.clone()).await, library.get_opts(&path, changed.clone()).await];
            let [own, library] = told.map(|told| told.map(|answer| answer.meta).unwrap_err().to_string());
            assert_eq!(own, library);
        }
    }
}

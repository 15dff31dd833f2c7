//! Where a source's files are: a local directory, a bucket of an S3-compatible store, or the files of an HTTP server. Opened,
//! each is an [`ObjectStore`] with paths from the root; nothing outside this room knows which it is.
//!
//! ```text
//! directory    a local directory: looked at while a configuration is checked; links may not lead out of it
//! local        its files, of which little is read where it is asked for
//! bucket       s3://bucket/prefix: endpoint, region, keys
//! server       https://host/path: files by name, directories where the server lists them (WebDAV)
//! reach        how a server is reached: TLS, deadlines, retries
//! transport    the one door to the network: adds what is secret, follows no redirect, keeps no word of an answer
//! fault        what a store's errors mean
//! ```

mod bucket;
mod directory;
pub(super) mod fault;
mod local;
mod reach;
mod server;
mod transport;

use std::path::Path;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use self::bucket::{Bucket, OpenBucket};
pub(super) use self::directory::Directory;
use self::server::Server;
use super::config::Format;
use super::discover::{Entry, is_hidden};
use crate::error::{ConnectorError, OptionFault};
use crate::options::OptionReader;

/// Directories of a store that are asked for their format at the same time.
const DIRECTORIES_AT_ONCE: usize = 8;
/// How many names below a directory of a store are looked at for one that tells its format.
const NAMES_MAX: usize = 1_000;

/// Where a source's files are, checked and not yet opened.
#[derive(Debug, Clone)]
pub(super) enum Root {
    Directory(Directory),
    Bucket(Box<Bucket>),
    Server(Box<Server>),
}

impl Root {
    /// Reads `root` and the options that belong to its kind; relative directories start from `base`.
    pub(super) fn parse(reader: &mut OptionReader<'_>, base: &Path) -> Option<Self> {
        let meaning = "a directory, `s3://bucket/prefix` or `https://host/path`";
        let written = reader.required_text("root", meaning)?;
        match written.split_once("://") {
            None => Directory::parse(reader, written, base).map(Self::Directory),
            Some(("s3", rest)) => Bucket::parse(reader, rest, base).map(Box::new).map(Self::Bucket),
            Some(("http" | "https", _)) => Server::parse(reader, written, base).map(Box::new).map(Self::Server),
            Some((scheme, _)) => {
                reader.fault("root", format!("`{scheme}://` is not supported; write {meaning}"));
                None
            }
        }
    }

    /// Opens it. Nothing remote is asked.
    ///
    /// # Errors
    /// A fault of the source's options.
    pub(super) fn open(&self) -> Result<OpenRoot, OptionFault> {
        let opened = match self {
            Self::Directory(directory) => directory.open().map(|store| (store, None)),
            Self::Bucket(bucket) => bucket.open().map(|bucket| (bucket.store(), Some(bucket))),
            Self::Server(server) => server.open().map(|store| (store, None)),
        };
        let (store, bucket) = opened.map_err(|error| OptionFault::new("root", format!("cannot be opened: {error}")))?;
        Ok(OpenRoot { root: self.clone(), store, bucket })
    }
}

/// A root with the store that reads it. Paths start from the root.
#[derive(Debug)]
pub(super) struct OpenRoot {
    root: Root,
    store: Arc<dyn ObjectStore>,
    /// Of a bucket what lists its names by the page.
    bucket: Option<OpenBucket>,
}

impl OpenRoot {
    /// Reads files below the root.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// One file as it is now.
    pub(super) async fn file(&self, path: &str) -> Result<ObjectMeta, ConnectorError> {
        let location = object_path(path)?;
        let file = self.store.head(&location).await.map_err(|error| fault::of_store(path, error))?;
        // A prefix is taken off what is listed, but not off this answer.
        Ok(ObjectMeta { location, ..file })
    }

    /// All files below a directory as they are now, in no order.
    pub(super) fn below(&self, directory: &str) -> BoxStream<'static, Result<ObjectMeta, ConnectorError>> {
        let location = match object_path(directory) {
            Ok(location) => location,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        match &self.root {
            Root::Directory(_) => listed(self.store.list(Some(&location)), directory),
            Root::Bucket(_) => bucket::without_folder_marks(listed(self.store.list(Some(&location)), directory)),
            Root::Server(_) => server::walk(Arc::clone(&self.store), location),
        }
    }

    /// What stands directly below the root and could be a table: everything, or what makes a table named `wanted`.
    pub(super) async fn entries(&self, wanted: Option<&str>) -> Result<Vec<Entry>, ConnectorError> {
        if let Root::Directory(directory) = &self.root {
            return directory.entries().map_err(|error| ConnectorError::unavailable("root", error));
        }
        let [files, directories] = self.names(wanted.unwrap_or_default()).await?;
        let of_wanted = |name: &str| wanted.is_none_or(|wanted| name == wanted);
        let files = files.iter().filter_map(|name| Entry::file(name));
        let mut entries: Vec<_> = files.filter(|entry| of_wanted(entry.table_name())).collect();
        let directories = directories.iter().filter(|name| !is_hidden(name) && of_wanted(name));
        let asked = directories.map(|name| self.directory(name));
        let asked: Vec<_> = asked.collect();
        let directories: Vec<Option<Entry>> = stream::iter(asked).buffered(DIRECTORIES_AT_ONCE).try_collect().await?;
        entries.extend(directories.into_iter().flatten());
        Ok(entries)
    }

    /// The files and directories directly below the root; of those alone whose names begin with `start`, where a store can be
    /// asked so.
    async fn names(&self, start: &str) -> Result<[Vec<String>; 2], ConnectorError> {
        if let Some(bucket) = &self.bucket {
            return bucket.names(start).await;
        }
        let listed = self.store.list_with_delimiter(None).await;
        let listed = listed.map_err(|error| fault::of_listing("root", error))?;
        let name = |path: &ObjectPath| path.filename().map(str::to_owned);
        let files = listed.objects.iter().filter_map(|file| name(&file.location)).collect();
        Ok([files, listed.common_prefixes.iter().filter_map(name).collect()])
    }

    /// The fence: what was listed lies within the root.
    pub(super) async fn refuse_outside(&self, file: &ObjectMeta) -> Result<(), ConnectorError> {
        match &self.root {
            Root::Directory(directory) => directory.refuse_outside(&file.location).await,
            // A key is a name and not a way, and a path to a server has no `..`.
            Root::Bucket(_) | Root::Server(_) => Ok(()),
        }
    }

    /// The directory `name` as an entry, if a file in it tells its format.
    async fn directory(&self, name: &str) -> Result<Option<Entry>, ConnectorError> {
        let mut files = self.below(name).take(NAMES_MAX);
        while let Some(file) = files.try_next().await? {
            let is_seen = !file.location.parts().any(|part| is_hidden(part.as_ref()));
            if let Some(format) = Format::of_extension(file.location.as_ref()).filter(|_| is_seen) {
                return Ok(Some(Entry::Directory(name.to_owned(), format)));
            }
        }
        Ok(None)
    }
}

fn listed(
    files: BoxStream<'static, object_store::Result<ObjectMeta>>,
    directory: &str,
) -> BoxStream<'static, Result<ObjectMeta, ConnectorError>> {
    let shown = if directory.is_empty() { "root".to_owned() } else { directory.to_owned() };
    files.map_err(move |error| fault::of_store(&shown, error)).boxed()
}

fn object_path(path: &str) -> Result<ObjectPath, ConnectorError> {
    ObjectPath::parse(path).map_err(|error| ConnectorError::unavailable(path, error))
}

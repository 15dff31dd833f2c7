//! The files of an HTTP server: each by its name; those of a directory only where the server lists them as WebDAV does.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::http::HttpBuilder;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::fault;
use super::reach::Reach;
use super::transport::{Access, Transport};
use crate::error::ConnectorError;
use crate::options::OptionReader;
use crate::options::secret::read_secret;

/// Directories that are asked for what is in them, for one table.
const DIRECTORIES_MAX: usize = 10_000;
/// How deep directories are followed.
const DEPTH_MAX: usize = 32;

/// The files below one address.
#[derive(Debug, Clone)]
pub(in crate::files) struct Server {
    /// Scheme, host and port.
    origin: Url,
    path: ObjectPath,
    access: Access,
    reach: Reach,
}

impl Server {
    /// Reads the options of `root = "<written>"`.
    pub(super) fn parse(reader: &mut OptionReader<'_>, written: &str, base: &Path) -> Option<Self> {
        let address = parse_address(reader, written);
        let access = parse_access(reader, base);
        let scheme = written.split_once("://").map(|(scheme, _)| scheme);
        let reach = Reach::parse(reader, base, "root", scheme);
        let (origin, path) = address?;
        Some(Self { origin, path, access: access?, reach: reach? })
    }

    pub(super) fn open(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        let store = HttpBuilder::new()
            .with_url(self.origin.as_str())
            .with_retry(self.reach.retries())
            .with_http_connector(Transport::new(self.reach.clone(), self.access.clone()))
            .build()?;
        Ok(Arc::new(PrefixStore::new(store, self.path.clone())))
    }
}

/// All files below a directory, asked for directory by directory: few servers list all depths at once.
pub(super) fn walk(
    store: Arc<dyn ObjectStore>,
    directory: ObjectPath,
) -> BoxStream<'static, Result<ObjectMeta, ConnectorError>> {
    let walk = Walk { store, depth_min: directory.parts_count(), ahead: VecDeque::from([directory]), asked: 0 };
    stream::try_unfold(walk, Walk::next).try_flatten().boxed()
}

struct Walk {
    store: Arc<dyn ObjectStore>,
    depth_min: usize,
    ahead: VecDeque<ObjectPath>,
    asked: usize,
}

impl Walk {
    async fn next(
        mut self,
    ) -> Result<Option<(BoxStream<'static, Result<ObjectMeta, ConnectorError>>, Self)>, ConnectorError> {
        let Some(directory) = self.ahead.pop_front() else {
            return Ok(None);
        };
        self.asked += 1;
        let shown = if directory.is_root() { "root" } else { directory.as_ref() };
        if self.asked > DIRECTORIES_MAX || directory.parts_count() > self.depth_min + DEPTH_MAX {
            return Err(ConnectorError::invalid_data(
                shown,
                format!("has more than {DIRECTORIES_MAX} directories, or {DEPTH_MAX} in one another"),
                "choose fewer by the table's `path`",
            ));
        }
        let listed = self.store.list_with_delimiter(Some(&directory)).await;
        let listed = listed.map_err(|error| fault::of_listing(shown, error))?;
        // A server is free in what it writes; what is not below the directory was not asked for.
        self.ahead.extend(listed.common_prefixes.into_iter().filter(|path| path.prefix_matches(&directory)));
        let files = listed.objects.into_iter().filter(move |file| file.location.prefix_matches(&directory)).map(quoted);
        Ok(Some((stream::iter(files.collect::<Vec<_>>()).map(Ok).boxed(), self)))
    }
}

/// `file` with its tag as a header has it: some listings leave out the quotes, and without them it would match no file.
fn quoted(file: ObjectMeta) -> ObjectMeta {
    let quote = |tag: String| if tag.ends_with('"') { tag } else { format!("\"{tag}\"") };
    ObjectMeta { e_tag: file.e_tag.map(quote), ..file }
}

fn parse_address(reader: &mut OptionReader<'_>, written: &str) -> Option<(Url, ObjectPath)> {
    let Ok(mut url) = Url::parse(written) else {
        reader.fault("root", "is not an address; write `https://host/path`");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        // What is written may hold a secret.
        let message = "must be `https://host/path` alone: a secret stands in a file or in the environment, under \
                       `password_file`, `token_file` or `query_file`";
        reader.fault("root", message);
        return None;
    }
    let Ok(path) = ObjectPath::from_url_path(url.path()) else {
        reader.fault("root", "has a path with an empty part");
        return None;
    };
    url.set_path("");
    Some((url, path))
}

fn parse_access(reader: &mut OptionReader<'_>, base: &Path) -> Option<Access> {
    const KEYS: [[&str; 2]; 3] =
        [["password_file", "password_env"], ["token_file", "token_env"], ["query_file", "query_env"]];
    let user = reader.text("user").map(str::to_owned);
    let [password, token, query] = KEYS.map(|keys| read_secret(reader, keys, base).map(|(place, _)| place));
    let written: Vec<_> = KEYS.iter().filter_map(|keys| keys.iter().find(|key| reader.has(key)).copied()).collect();
    if let [first, second, ..] = written.as_slice() {
        reader.fault(second, format!("contradicts `{first}`: write one of them"));
        return None;
    }
    let has_password = written.first().is_some_and(|key| key.starts_with("password"));
    match (user, password, token, query) {
        (Some(user), Some(password), ..) => Some(Access::User { user, password }),
        (Some(_), None, ..) if !has_password => {
            reader.fault("user", "is of no use without `password_file` or `password_env`");
            None
        }
        (None, Some(_), ..) => {
            reader.fault("user", "is missing; write whose password it is");
            None
        }
        (None, _, Some(token), _) => Some(Access::Token(token)),
        (None, _, _, Some(query)) => Some(Access::Query(query)),
        (None, None, None, None) if written.is_empty() => Some(Access::None),
        _ => None,
    }
}

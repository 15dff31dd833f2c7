//! A bucket of an S3-compatible store. Its keys are read again for each request, so they may be changed while a site runs.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_common_runtime::SpawnedTask;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{CredentialProvider, ObjectMeta, ObjectStore};
use url::Url;

use super::fault;
use super::reach::Reach;
use super::transport::{Access, Transport};
use crate::error::ConnectorError;
use crate::files::config::Format;
use crate::options::OptionReader;
use crate::options::secret::{SecretPlace, read_secret};

const REGION: &str = "us-east-1";
/// The most names that stand directly below a root; a page of a listing counts as one at least.
const NAMES_MAX: usize = 100_000;

/// The objects of one bucket whose keys begin with a prefix.
#[derive(Debug, Clone)]
pub(in crate::files) struct Bucket {
    name: String,
    prefix: ObjectPath,
    region: String,
    /// `None` for Amazon's.
    endpoint: Option<Url>,
    /// The bucket stands in the path, not in the host's name.
    is_in_path: bool,
    /// `None` to ask as nobody.
    keys: Option<Keys>,
    reach: Reach,
}

/// A bucket that can be asked.
#[derive(Debug)]
pub(super) struct OpenBucket {
    s3: AmazonS3,
    prefix: ObjectPath,
}

/// Where the keys of an account stand.
#[derive(Debug, Clone)]
struct Keys {
    id: SecretPlace,
    secret: SecretPlace,
    session_token: Option<SecretPlace>,
}

impl Bucket {
    /// Reads the options of `root = "s3://<written>"`.
    pub(super) fn parse(reader: &mut OptionReader<'_>, written: &str, base: &Path) -> Option<Self> {
        let (name, prefix) = written.split_once('/').unwrap_or((written, ""));
        let name = parse_name(reader, name);
        let prefix = match ObjectPath::parse(prefix) {
            Ok(prefix) => Some(prefix),
            Err(_) => {
                reader.fault("root", format!("`{prefix}` is not a prefix of keys; it has an empty part, `.` or `..`"));
                None
            }
        };
        let region = reader.text("region").unwrap_or(REGION).to_owned();
        let endpoint = parse_endpoint(reader);
        let is_in_path = reader.flag("path_style").unwrap_or_else(|| {
            // A certificate for `*.host` is of one label only.
            reader.has("endpoint") || name.as_ref().is_some_and(|name| name.contains('.'))
        });
        let keys = parse_keys(reader, base);
        let scheme = endpoint.as_ref().and_then(|endpoint| endpoint.as_ref()).map(Url::scheme);
        let reach = Reach::parse(reader, base, "endpoint", scheme);
        Some(Self { name: name?, prefix: prefix?, region, endpoint: endpoint?, is_in_path, keys: keys?, reach: reach? })
    }

    pub(super) fn open(&self) -> object_store::Result<OpenBucket> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(!self.is_in_path)
            .with_skip_signature(self.keys.is_none())
            .with_retry(self.reach.retries())
            .with_http_connector(Transport::new(self.reach.clone(), Access::None));
        if let Some(endpoint) = self.endpoint_of_bucket() {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(keys) = &self.keys {
            builder = builder.with_credentials(Arc::new(keys.clone()));
        }
        Ok(OpenBucket { s3: builder.build()?, prefix: self.prefix.clone() })
    }

    /// As the builder wants it: with the bucket in the host's name, if that is where it stands.
    fn endpoint_of_bucket(&self) -> Option<String> {
        let mut endpoint = self.endpoint.clone()?;
        if !self.is_in_path {
            let host = format!("{}.{}", self.name, endpoint.host_str()?);
            endpoint.set_host(Some(&host)).ok()?;
        }
        Some(endpoint.as_str().trim_end_matches('/').to_owned())
    }
}

impl OpenBucket {
    /// Its files, with paths from the prefix.
    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(self.s3.clone(), self.prefix.clone()))
    }

    /// The files and directories directly below the prefix, of those whose names begin with `start`.
    pub(super) async fn names(&self, start: &str) -> Result<[Vec<String>; 2], ConnectorError> {
        names(&self.s3, &self.prefix, start).await
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let keys = self.clone();
        let read = move || {
            let reveal = |place: &SecretPlace| place.read().map(|secret| secret.reveal().to_owned());
            Ok(AwsCredential {
                key_id: reveal(&keys.id)?,
                secret_key: reveal(&keys.secret)?,
                token: keys.session_token.as_ref().map(reveal).transpose()?,
            })
        };
        let credential: Result<_, String> =
            SpawnedTask::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()));
        credential.map(Arc::new).map_err(fault::no_secret)
    }
}

/// Listed by the page, so that no more is kept than may be there.
async fn names(
    bucket: &dyn PaginatedListStore,
    prefix: &ObjectPath,
    start: &str,
) -> Result<[Vec<String>; 2], ConnectorError> {
    let above = if prefix.is_root() { String::new() } else { format!("{prefix}/") };
    let begins = format!("{above}{start}");
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    let (mut count, mut page_token) = (0, None);
    loop {
        let options = PaginatedListOptions { delimiter: Some("/".into()), page_token, ..Default::default() };
        let page =
            bucket.list_paginated(Some(&begins).filter(|begins| !begins.is_empty()).map(String::as_str), options);
        let page = page.await.map_err(|error| fault::of_store("root", error))?;
        let name = |path: &ObjectPath| {
            path.as_ref().strip_prefix(&above).filter(|name| !name.contains('/')).map(str::to_owned)
        };
        count += (page.result.objects.len() + page.result.common_prefixes.len()).max(1);
        files.extend(page.result.objects.iter().filter_map(|file| name(&file.location)));
        directories.extend(page.result.common_prefixes.iter().filter_map(name));
        if count > NAMES_MAX {
            return Err(ConnectorError::invalid_data(
                "root",
                format!("holds more than {NAMES_MAX} files and directories"),
                "declare the tables: `[[source.table]]`",
            ));
        }
        page_token = page.page_token;
        if page_token.is_none() {
            return Ok([files, directories]);
        }
    }
}

/// Consoles mark a folder by an empty object with the folder's name; that is no file.
pub(super) fn without_folder_marks(
    files: BoxStream<'static, Result<ObjectMeta, ConnectorError>>,
) -> BoxStream<'static, Result<ObjectMeta, ConnectorError>> {
    let is_file = |file: &ObjectMeta| file.size > 0 || Format::of_extension(file.location.as_ref()).is_some();
    files.try_filter(move |file| std::future::ready(is_file(file))).boxed()
}

fn parse_name(reader: &mut OptionReader<'_>, name: &str) -> Option<String> {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(is_of_name);
    if !is_name || name.contains("..") {
        reader.fault("root", format!("`{name}` is not the name of a bucket; write `s3://bucket/prefix`"));
        return None;
    }
    Some(name.to_owned())
}

/// `Some(None)` where no endpoint is written.
fn parse_endpoint(reader: &mut OptionReader<'_>) -> Option<Option<Url>> {
    let Some(written) = reader.text("endpoint") else {
        return if reader.has("endpoint") { None } else { Some(None) };
    };
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match Url::parse(written) {
        Ok(url) if is_plain(&url) => Some(Some(url)),
        // What is written may hold a secret.
        _ => {
            reader.fault("endpoint", "must be `https://host` or `https://host:port`, without a user or a query");
            None
        }
    }
}

/// `Some(None)` for `anonymous = true`.
fn parse_keys(reader: &mut OptionReader<'_>, base: &Path) -> Option<Option<Keys>> {
    const KEYS: [[&str; 2]; 3] = [
        ["access_key_id_file", "access_key_id_env"],
        ["secret_access_key_file", "secret_access_key_env"],
        ["session_token_file", "session_token_env"],
    ];
    let is_anonymous = reader.flag("anonymous").unwrap_or(false);
    let [id, secret, session_token] = KEYS.map(|keys| read_secret(reader, keys, base).map(|(place, _)| place));
    let is_written = |keys: &[&'static str; 2], reader: &OptionReader<'_>| keys.iter().any(|key| reader.has(key));
    if is_anonymous {
        for key in KEYS.iter().flatten().filter(|key| reader.has(key)).copied().collect::<Vec<_>>() {
            reader.fault(key, "contradicts `anonymous = true`: write one of them");
        }
        return Some(None);
    }
    for keys in KEYS.iter().take(2).filter(|keys| !is_written(keys, reader)).copied().collect::<Vec<_>>() {
        let [file, variable] = keys;
        reader.fault(file, format!("is missing; write it, or `{variable}`, or `anonymous = true` for a public bucket"));
    }
    if session_token.is_none() && KEYS.last().is_some_and(|keys| is_written(keys, reader)) {
        return None;
    }
    Some(Some(Keys { id: id?, secret: secret?, session_token }))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::ListResult;
    use object_store::list::PaginatedListResult;

    use super::*;

    /// Pages of two files and a directory each, as many as there are; without a number for ever.
    struct Pages(Option<usize>);

    #[async_trait]
    impl PaginatedListStore for Pages {
        async fn list_paginated(
            &self,
            prefix: Option<&str>,
            options: PaginatedListOptions,
        ) -> object_store::Result<PaginatedListResult> {
            assert_eq!((prefix, options.delimiter.as_deref()), (Some("a/b/t"), Some("/")));
            let page: usize = options.page_token.map_or(0, |token| token.parse().unwrap());
            let file = |name: &str| ObjectMeta {
                location: ObjectPath::from(format!("a/b/t{page}{name}")),
                last_modified: DateTime::UNIX_EPOCH,
                size: 1,
                e_tag: None,
                version: None,
            };
            let result = ListResult {
                objects: vec![file(".csv"), file(".parquet")],
                common_prefixes: vec![ObjectPath::from(format!("a/b/t{page}"))],
            };
            let is_last = self.0.is_some_and(|pages| page + 1 >= pages);
            Ok(PaginatedListResult { result, page_token: (!is_last).then(|| (page + 1).to_string()) })
        }
    }

    #[tokio::test]
    async fn a_root_is_listed_by_the_page_and_not_for_ever() {
        let prefix = ObjectPath::from("a/b");
        let [files, directories] = names(&Pages(Some(2)), &prefix, "t").await.unwrap();
        assert_eq!(files, ["t0.csv", "t0.parquet", "t1.csv", "t1.parquet"]);
        assert_eq!(directories, ["t0", "t1"]);
        let error = names(&Pages(None), &prefix, "t").await.unwrap_err();
        let told = "root: holds more than 100000 files and directories; declare the tables: `[[source.table]]`";
        assert_eq!(error.to_string(), told);
    }
}

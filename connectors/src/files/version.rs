//! What tells one version of a file from another: its tag, where the server gives one, else when it was changed; and its size.

use chrono::{DateTime, Utc};
use object_store::{GetOptions, ObjectMeta};

use crate::error::ConnectorError;

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// [`object_store`] makes that of a local file from inode, time of change and size.
    tag: Option<String>,
    last_modified: DateTime<Utc>,
    size: u64,
}

impl Version {
    /// # Errors
    /// A file of which nothing tells one version from another.
    pub(super) fn of(file: &ObjectMeta) -> Result<Self, ConnectorError> {
        let version = Self { tag: file.e_tag.clone(), last_modified: file.last_modified, size: file.size };
        if version.tag.is_none() && !version.has_time() {
            return Err(ConnectorError::invalid_data(
                file.location.as_ref(),
                "the server tells neither its tag nor when it was changed, so a change could not be seen",
                "serve it by a server that sends `ETag` or `Last-Modified`",
            ));
        }
        Ok(version)
    }

    /// `options` with the condition that the file is of this version.
    pub(super) fn insist(&self, options: GetOptions) -> GetOptions {
        match &self.tag {
            // By RFC 9110, 13.1.1, a weak tag never matches.
            Some(tag) if !tag.starts_with("W/") => options.with_if_match(Some(tag.clone())),
            _ if self.has_time() => options.with_if_unmodified_since(Some(self.last_modified)),
            _ => options,
        }
    }

    /// Whether `file` is this version.
    pub(super) fn is_of(&self, file: &ObjectMeta) -> bool {
        let is_same = match (&self.tag, &file.e_tag) {
            (Some(tag), Some(other)) => bare(tag) == bare(other),
            // A listing tells fractions of a second and a header does not.
            _ => self.last_modified.timestamp() == file.last_modified.timestamp(),
        };
        is_same && self.size == file.size
    }

    /// A server that does not say when gives the beginning of all time.
    fn has_time(&self) -> bool {
        self.last_modified != DateTime::UNIX_EPOCH
    }
}

/// A tag without its quotes, which not every listing writes.
fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    fn file(tag: Option<&str>, second: i64, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from("a"),
            last_modified: DateTime::from_timestamp(second, 0).unwrap(),
            size,
            e_tag: tag.map(str::to_owned),
            version: None,
        }
    }

    #[test]
    fn a_version_is_told_by_its_tag_and_else_by_its_time() {
        let check = |version: ObjectMeta, other: ObjectMeta, expect| {
            assert_eq!(Version::of(&version).unwrap().is_of(&other), expect, "{version:?} {other:?}");
        };
        check(file(Some("\"a\""), 1, 9), file(Some("\"a\""), 2, 9), true);
        check(file(Some("\"a\""), 1, 9), file(Some("\"b\""), 1, 9), false);
        check(file(Some("\"a\""), 1, 9), file(Some("\"a\""), 1, 8), false);
        check(file(Some("a"), 1, 9), file(Some("\"a\""), 1, 9), true);
        check(file(Some("W/\"a\""), 1, 9), file(Some("W/\"a\""), 1, 9), true);
        check(file(None, 1, 9), file(None, 1, 9), true);
        check(file(None, 1, 9), file(None, 2, 9), false);
        check(file(Some("\"a\""), 1, 9), file(None, 2, 9), false);
        assert!(Version::of(&file(None, 0, 9)).is_err());
        assert!(Version::of(&file(Some("\"a\""), 0, 9)).is_ok());
    }

    #[test]
    fn a_read_insists_on_what_the_server_can_compare() {
        let condition = |version: ObjectMeta| {
            let options = Version::of(&version).unwrap().insist(GetOptions::new());
            (options.if_match, options.if_unmodified_since.map(|time| time.timestamp()))
        };
        assert_eq!(condition(file(Some("\"a\""), 7, 9)), (Some("\"a\"".to_owned()), None));
        assert_eq!(condition(file(Some("W/\"a\""), 7, 9)), (None, Some(7)));
        assert_eq!(condition(file(None, 7, 9)), (None, Some(7)));
        assert_eq!(condition(file(Some("W/\"a\""), 0, 9)), (None, None));
    }
}

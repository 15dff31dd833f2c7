//! A directory of policies: read whole, and only once nobody is writing to it any more.
//!
//! Half a directory may permit more than the whole: the grant is there, the mask not yet. So a directory that is being
//! written is left alone until it rests, a file that does not end with a finished statement was cut off, and nothing of
//! a directory takes effect unless all of it does.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use policy::set::{File, FileFault};

/// The most that is read of one directory.
const DIRECTORY_BYTES_MAX: u64 = 16 << 20;

/// One file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name within the directory.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What can be seen of a directory without reading it; differs when something in it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glance(Vec<Seen>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: String,
    path: PathBuf,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Seen {
    fn new(path: PathBuf, name: String, metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { name, path, inode: metadata.ino(), bytes: metadata.len(), modified }
    }
}

/// Looks at the `*.sql` files of a directory, sorted by name. Hidden files are an editor's, and not looked at; what its
/// author may take for policy and would not be read is refused.
///
/// # Errors
/// A sentence that names the directory or the file: there is none, it cannot be read, nothing is in it, or too much.
pub(crate) fn glance(directory: &Path) -> Result<Glance, String> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", directory.display());
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let metadata =
            std::fs::metadata(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        if let Some(why) = unread(&path, &metadata) {
            return Err(format!("{} {why}", path.display()));
        }
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".sql")) {
            seen.push(Seen::new(path.clone(), name.to_string(), &metadata));
        }
    }
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    let bytes: u64 = seen.iter().map(|file| file.bytes).sum();
    if bytes > DIRECTORY_BYTES_MAX {
        return Err(format!(
            "{} holds {bytes} bytes of policies; {DIRECTORY_BYTES_MAX} are read at most",
            directory.display()
        ));
    }
    if seen.is_empty() {
        return Err(format!("{} holds no *.sql file; to grant nothing, drop what is granted", directory.display()));
    }
    Ok(Glance(seen))
}

/// Why something in a directory would not be read, though it may be meant to be.
fn unread(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    let ending = path.extension().unwrap_or_default();
    if metadata.is_dir() && (ending == "sql" || holds_policies(path)) {
        Some("is a directory: policies lie in one directory, not in others below it")
    } else if metadata.is_dir() {
        None
    } else if path.file_name().and_then(|name| name.to_str()).is_none() {
        Some("has a name that is not UTF-8")
    } else if ending.eq_ignore_ascii_case("sql") && ending != "sql" {
        Some("would not be read: the names of files of policies end with `.sql`, in small letters")
    } else if ending == "sql" && !metadata.is_file() {
        Some("is no file")
    } else {
        None
    }
}

/// Whether a directory within has a file that looks like one of policies. One that cannot be read is taken to.
fn holds_policies(path: &Path) -> bool {
    let is_policy = |name: PathBuf| name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
    std::fs::read_dir(path).map_or(true, |entries| entries.flatten().any(|entry| is_policy(entry.path())))
}

/// Reads the files of a directory.
///
/// # Errors
/// Every file that cannot be read or was cut off, one line each, `file: what is wrong`; or that the directory itself
/// cannot be read.
pub fn read(directory: &Path) -> Result<Vec<PolicyFile>, Vec<String>> {
    read_seen(glance(directory).map_err(|fault| vec![fault])?)
}

/// Reads the files that a glance saw.
///
/// # Errors
/// Every file that cannot be read or was cut off, one line each, `file: what is wrong`.
pub(crate) fn read_seen(Glance(seen): Glance) -> Result<Vec<PolicyFile>, Vec<String>> {
    let mut files = Vec::with_capacity(seen.len());
    let mut faults = Vec::new();
    for Seen { name, path, .. } in seen {
        match std::fs::read_to_string(&path) {
            Err(error) => faults.push(format!("{name}: cannot be read: {error}")),
            Ok(text) if !is_finished(&text) => {
                faults.push(format!(
                    "{name}: does not end with a finished statement (`;`); is it empty, or was it cut off?"
                ));
            }
            Ok(text) => files.push(PolicyFile { name, text }),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// The files as policy reads them.
pub fn as_files(files: &[PolicyFile]) -> Vec<File<'_>> {
    files.iter().map(|file| File { name: &file.name, text: &file.text }).collect()
}

/// A fault on one line: `file:line: what is wrong`.
pub fn line(fault: &FileFault) -> String {
    format!("{}:{}: {}", fault.file, fault.line, fault.message)
}

/// A digest of names and contents.
pub(super) fn digest(files: &[PolicyFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in files.iter().flat_map(|file| [&file.name, &file.text]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Whether the last thing in the text, comments aside, is a semicolon. A text that cannot be taken apart is the parser's
/// to complain about, with the line.
fn is_finished(text: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return true };
    let last = tokens.into_iter().rfind(|token| !matches!(token, Token::Whitespace(_)));
    last == Some(Token::SemiColon)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn files_are_read_in_order_and_others_left() {
        let directory = directory(&[("b.sql", "B;"), ("a.sql", "A; -- the end\n"), (".a.sql", "x"), ("a.sql~", "x")]);
        let files = read(directory.path()).unwrap();
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a.sql", "b.sql"]);
        let before = digest(&files);
        fs::rename(directory.path().join("b.sql"), directory.path().join("c2.sql")).unwrap();
        assert_ne!(digest(&read(directory.path()).unwrap()), before);
    }

    #[test]
    fn what_would_not_be_read_is_refused_by_name() {
        use std::os::unix::ffi::OsStrExt;
        let refused = |name: &std::ffi::OsStr, make: fn(&Path)| {
            let directory = directory(&[("a.sql", "A;"), ("notes.md", "x")]);
            fs::create_dir(directory.path().join("data")).unwrap();
            read(directory.path()).unwrap();
            make(&directory.path().join(name));
            read(directory.path()).unwrap_err().join("\n")
        };
        let file = |path: &Path| fs::write(path, "B;").unwrap();
        let folder = |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("b.sql"), "B;").unwrap();
        };
        assert!(refused("B.SQL".as_ref(), file).contains("B.SQL would not be read"));
        assert!(refused("c.sql".as_ref(), folder).contains("c.sql is a directory"));
        assert!(refused("more".as_ref(), folder).contains("more is a directory"));
        assert!(refused(std::ffi::OsStr::from_bytes(b"\xff.sql"), file).contains("not UTF-8"));
    }

    #[test]
    fn what_was_cut_off_is_refused() {
        for text in ["", "\n", "-- only words;", "GRANT a; GRANT b", "GRANT a; -- b;\nGRANT c", "GRANT a; /* ; */ x"] {
            let faults = read(directory(&[("a.sql", text)]).path()).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with("a.sql: does not end"), "{text}: {faults:?}");
        }
        read(directory(&[("a.sql", "SELECT 'cut off ")]).path()).unwrap();
        read(directory(&[]).path()).unwrap_err();
        read(Path::new("/nowhere/policies")).unwrap_err();
    }

    #[test]
    fn a_glance_sees_every_write() {
        let directory = directory(&[("a.sql", "A;")]);
        let before = glance(directory.path()).unwrap();
        assert_eq!(glance(directory.path()).unwrap(), before);
        let other = directory.path().join("other");
        fs::write(&other, "A;").unwrap();
        fs::rename(&other, directory.path().join("a.sql")).unwrap();
        assert_ne!(glance(directory.path()).unwrap(), before, "another file of the same size");
    }
}

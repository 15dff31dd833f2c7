//! What a site keeps of its policies: one SQLite file. A change is synced to the disk before it is answered.
//!
//! Every call blocks for as long as the disk takes; [`Policies`](super::Policies) makes them from threads that may.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use policy::set::PolicySet;
use policy::time::Instant;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// The name of the file in the node's state directory.
pub(crate) const FILE: &str = "node.sqlite";
/// Another process at the same file (a backup) is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The steps from nothing to the tables of today, one for each version of them. A release adds a step, never edits one.
/// What the table `baselines` held stands in the policies themselves.
pub(super) const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE policy_history (version INTEGER PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL,
                                 statement TEXT NOT NULL, inverse TEXT NOT NULL) STRICT;
    CREATE TABLE policy_current (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,
                                 set_json TEXT NOT NULL, files TEXT) STRICT;
    CREATE TABLE baselines (grant_text TEXT PRIMARY KEY, columns_json TEXT NOT NULL) STRICT;
    CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), floor INTEGER NOT NULL) STRICT;
    CREATE TABLE usage (grant_id TEXT NOT NULL, subject TEXT NOT NULL, day INTEGER NOT NULL, rows INTEGER NOT NULL,
                        bytes INTEGER NOT NULL, PRIMARY KEY (grant_id, subject, day)) STRICT, WITHOUT ROWID;
",
    "DROP TABLE baselines;",
    "
    CREATE TABLE policy_sets (version INTEGER PRIMARY KEY, set_json TEXT NOT NULL, files TEXT) STRICT;
    INSERT INTO policy_sets SELECT version, set_json, files FROM policy_current;
    DROP TABLE policy_current;
    CREATE TABLE policy_unrecorded (version INTEGER PRIMARY KEY, query TEXT NOT NULL, after_record INTEGER NOT NULL,
                                    in_force INTEGER NOT NULL) STRICT;
",
];

/// The versions that are not in force before the record has them.
const NOT_IN_FORCE: &str = "(SELECT version FROM policy_unrecorded WHERE NOT in_force)";

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Mutex<Connection>,
}

/// Why the file cannot be used. For the log and for administrators.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file holds something that this release cannot read.
    #[error("{0}")]
    Content(String),
    /// The directory of the file cannot be made.
    #[error("the state directory cannot be made: {0}")]
    Directory(#[from] std::io::Error),
}

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A version of the policies, in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The version that the change made.
    pub(super) version: u64,
    /// When.
    pub(super) at: Instant,
    /// By whom.
    pub(super) author: String,
    /// The change.
    pub(super) statement: String,
    /// What takes it back; empty for files, which are taken back where they were written.
    pub(super) inverse: String,
}

/// The policies of one version.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The policies.
    pub(super) set: PolicySet,
    /// The digest of the files that they came from; `None` for statements.
    pub(super) files: Option<String>,
}

/// That the record of a version is not known to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unrecorded {
    /// By which identity the record has it, if it has it.
    pub(super) query: String,
    /// The last record before it was written down.
    pub(super) after: u64,
    /// Whether it is in force all the same.
    pub(super) in_force: bool,
}

/// What one subject used of one grant on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsageRow {
    /// The grant's id.
    pub(super) grant: String,
    /// The subject.
    pub(super) subject: String,
    /// Days since 1970, UTC.
    pub(super) day: i64,
    /// Rows so far.
    pub(super) rows: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
}

impl Store {
    /// Opens the file, makes it when there is none, and brings its tables up to date.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        make_private(directory)?;
        let mut connection = Connection::open(directory.join(FILE))?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if health != "ok" {
            return Err(StoreError::Content(health));
        }
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// What is in force; the empty set when nothing ever was.
    pub(super) fn kept(&self) -> Result<Kept> {
        let sql = format!(
            "SELECT version, set_json, files FROM policy_sets WHERE version NOT IN {NOT_IN_FORCE} ORDER BY version DESC LIMIT 1"
        );
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?));
        let Some((version, json, files)) = self.connection.lock().query_row(&sql, [], read).optional()? else {
            return Ok(Kept::default());
        };
        let set: PolicySet = serde_json::from_str(&json).map_err(unreadable)?;
        if integer(set.version)? != version {
            return Err(StoreError::Content(format!("the policies say version {}, their row {version}", set.version)));
        }
        Ok(Kept { set, files })
    }

    /// Every change that is or was in force, the latest first.
    pub(super) fn history(&self) -> Result<Vec<Entry>> {
        self.entries(&format!("WHERE version NOT IN {NOT_IN_FORCE}"))
    }

    /// The changes that the record is not known to have, the latest first, with the digest of their files.
    pub(super) fn unrecorded(&self) -> Result<Vec<(Entry, Option<String>, Unrecorded)>> {
        let entries = self.entries("WHERE version IN (SELECT version FROM policy_unrecorded)")?;
        entries.into_iter().map(|entry| self.unrecorded_of(entry)).collect()
    }

    fn unrecorded_of(&self, entry: Entry) -> Result<(Entry, Option<String>, Unrecorded)> {
        let sql = "SELECT query, after_record, in_force, files FROM policy_unrecorded LEFT JOIN policy_sets USING (version) \
                   WHERE version = ?1";
        let read = |row: &Row<'_>| {
            let unrecorded = Unrecorded { query: row.get(0)?, after: count(row, 1)?, in_force: row.get(2)? };
            Ok((row.get(3)?, unrecorded))
        };
        let (files, unrecorded) = self.connection.lock().query_row(sql, [integer(entry.version)?], read)?;
        Ok((entry, files, unrecorded))
    }

    fn entries(&self, which: &str) -> Result<Vec<Entry>> {
        let connection = self.connection.lock();
        let sql =
            format!("SELECT version, at, author, statement, inverse FROM policy_history {which} ORDER BY version DESC");
        let mut statement = connection.prepare(&sql)?;
        let entries = statement.query_map([], |row| {
            Ok(Entry {
                version: count(row, 0)?,
                at: Instant(row.get(1)?),
                author: row.get(2)?,
                statement: row.get(3)?,
                inverse: row.get(4)?,
            })
        })?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    }

    /// Writes the next version down: the history's next row, the policies, and the time. All of it or nothing. With
    /// `unrecorded` it is in force when the record has it, or all the same if that says so.
    pub(super) fn write_version(&self, entry: &Entry, next: &Kept, unrecorded: Option<&Unrecorded>) -> Result<()> {
        let json = serde_json::to_string(&next.set).map_err(unreadable)?;
        let version = integer(entry.version)?;
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        // The versions before this one are in force, also one of which that could not be noted.
        transaction.execute("DELETE FROM policy_unrecorded WHERE version < ?1 AND NOT in_force", [version])?;
        forget_what_is_not_in_force(&transaction)?;
        transaction.execute(
            "INSERT INTO policy_history (version, at, author, statement, inverse) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![version, entry.at.0, entry.author, entry.statement, entry.inverse],
        )?;
        transaction.execute(
            "INSERT INTO policy_sets (version, set_json, files) VALUES (?1, ?2, ?3)",
            params![version, json, next.files],
        )?;
        if let Some(Unrecorded { query, after, in_force }) = unrecorded {
            transaction.execute(
                "INSERT INTO policy_unrecorded (version, query, after_record, in_force) VALUES (?1, ?2, ?3, ?4)",
                params![version, query, integer(*after)?, in_force],
            )?;
        }
        // The version before this one counts until the record has this one.
        transaction.execute("DELETE FROM policy_sets WHERE version < ?1 - 1", [version])?;
        write_floor(&transaction, entry.at)?;
        Ok(transaction.commit()?)
    }

    /// The record has this version.
    pub(super) fn has_recorded(&self, version: u64) -> Result<()> {
        let sql = "DELETE FROM policy_unrecorded WHERE version = ?1";
        self.connection.lock().execute(sql, [integer(version)?])?;
        Ok(())
    }

    /// Forgets the version that the record has not, and that is not in force without.
    pub(super) fn take_back(&self) -> Result<()> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        forget_what_is_not_in_force(&transaction)?;
        Ok(transaction.commit()?)
    }

    /// The latest time that was written down.
    pub(super) fn floor(&self) -> Result<Option<Instant>> {
        let sql = "SELECT floor FROM clock";
        let floor = self.connection.lock().query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(floor.map(Instant))
    }

    /// What was used on that day; what was used on days before it is forgotten.
    pub(super) fn usage(&self, day: i64) -> Result<Vec<UsageRow>> {
        let connection = self.connection.lock();
        connection.execute("DELETE FROM usage WHERE day < ?1", [day])?;
        let mut statement = connection.prepare("SELECT grant_id, subject, day, rows, bytes FROM usage")?;
        let rows = statement.query_map([], |row| {
            Ok(UsageRow {
                grant: row.get(0)?,
                subject: row.get(1)?,
                day: row.get(2)?,
                rows: count(row, 3)?,
                bytes: count(row, 4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Writes the time, and what has been used since the last call.
    pub(super) fn write(&self, floor: Instant, usage: &[UsageRow]) -> Result<()> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        write_floor(&transaction, floor)?;
        for row in usage {
            transaction.execute(
                "INSERT OR REPLACE INTO usage (grant_id, subject, day, rows, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![row.grant, row.subject, row.day, integer(row.rows)?, integer(row.bytes)?],
            )?;
        }
        Ok(transaction.commit()?)
    }
}

/// The directory, for its owner only when it is made here.
fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT;")?;
    let latest: i64 =
        transaction.query_row("SELECT coalesce(max(version), 0) FROM schema_version", [], |row| row.get(0))?;
    let done = usize::try_from(latest).map_err(unreadable)?;
    if done > MIGRATIONS.len() {
        return Err(StoreError::Content(format!(
            "{FILE} was written by a later release (its tables have version {done}, this release knows {})",
            MIGRATIONS.len()
        )));
    }
    for (version, step) in (1_i64..).zip(MIGRATIONS).skip(done) {
        transaction.execute_batch(step)?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [version])?;
    }
    Ok(transaction.commit()?)
}

fn forget_what_is_not_in_force(transaction: &Transaction<'_>) -> Result<()> {
    for table in ["policy_history", "policy_sets", "policy_unrecorded"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE version IN {NOT_IN_FORCE}"), [])?;
    }
    Ok(())
}

/// The floor only rises, whoever writes it.
fn write_floor(transaction: &Transaction<'_>, floor: Instant) -> Result<()> {
    let sql = "INSERT INTO clock (id, floor) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET floor = max(floor, ?1)";
    transaction.execute(sql, [floor.0])?;
    Ok(())
}

/// SQLite's integers have a sign.
fn integer(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(unreadable)
}

fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

fn unreadable(error: impl fmt::Display) -> StoreError {
    StoreError::Content(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u64) -> Entry {
        let text = |word: &str| format!("{word} {version}");
        Entry {
            version,
            at: Instant(i64::try_from(version).unwrap() * 1_000),
            author: "admin".to_string(),
            statement: text("do"),
            inverse: text("undo"),
        }
    }

    fn kept(version: u64) -> Kept {
        Kept { set: PolicySet { version, ..PolicySet::default() }, files: None }
    }

    #[test]
    fn all_of_it_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let used = UsageRow { grant: "g".into(), subject: "desk".into(), day: 5, rows: 7, bytes: u64::from(u32::MAX) };
        {
            let store = Store::open(directory.path()).unwrap();
            assert_eq!(store.kept().unwrap().set, PolicySet::default());
            assert_eq!(store.floor().unwrap(), None);
            store.write_version(&entry(1), &kept(1), None).unwrap();
            store.write_version(&entry(2), &Kept { files: Some("digest".into()), ..kept(2) }, None).unwrap();
            store.write(Instant(5_000), std::slice::from_ref(&used)).unwrap();
            store.write(Instant(4_000), &[]).unwrap();
        }
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.history().unwrap(), [entry(2), entry(1)]);
        let now = store.kept().unwrap();
        assert_eq!((now.set.version, now.files.as_deref()), (2, Some("digest")));
        assert_eq!(store.floor().unwrap(), Some(Instant(5_000)), "the floor never sinks");
        assert_eq!(store.usage(5).unwrap(), [used]);
        assert_eq!(store.usage(6).unwrap(), [], "yesterday is forgotten");
    }

    #[test]
    fn a_version_is_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.write_version(&entry(1), &kept(1), None).unwrap();
        store.write_version(&entry(1), &kept(1), None).unwrap_err();
        assert_eq!(store.history().unwrap().len(), 1, "a change that fails leaves nothing");
    }

    #[test]
    fn a_version_is_in_force_when_the_record_has_it_or_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let awaiting = |query: &str, in_force| Unrecorded { query: query.to_string(), after: 7, in_force };
        let in_force = || (store.kept().unwrap().set.version, store.history().unwrap().len());
        store.write_version(&entry(1), &kept(1), None).unwrap();
        store.write_version(&entry(2), &kept(2), Some(&awaiting("a", false))).unwrap();
        assert_eq!(in_force(), (1, 1));
        assert_eq!(store.unrecorded().unwrap(), [(entry(2), None, awaiting("a", false))]);
        // Another takes its place, and is recorded.
        store.write_version(&entry(2), &kept(2), Some(&awaiting("b", false))).unwrap();
        store.has_recorded(2).unwrap();
        assert_eq!((in_force(), store.unrecorded().unwrap().len()), ((2, 2), 0));
        store.write_version(&entry(3), &kept(3), Some(&awaiting("c", true))).unwrap();
        assert_eq!(in_force(), (3, 3));
        store.write_version(&entry(4), &kept(4), Some(&awaiting("d", false))).unwrap();
        store.take_back().unwrap();
        assert_eq!((in_force(), store.unrecorded().unwrap().len()), ((3, 3), 1));
    }

    #[test]
    fn a_version_in_force_of_which_nothing_could_be_noted_outlives_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let awaiting = |query: &str| Unrecorded { query: query.to_string(), after: 7, in_force: false };
        store.write_version(&entry(1), &kept(1), None).unwrap();
        // It was recorded and came into force; then the disk was full.
        store.write_version(&entry(2), &kept(2), Some(&awaiting("a"))).unwrap();
        store.write_version(&entry(3), &kept(3), Some(&awaiting("b"))).unwrap();
        store.take_back().unwrap();
        assert_eq!((store.kept().unwrap().set.version, store.history().unwrap()), (2, vec![entry(2), entry(1)]));
    }

    #[test]
    fn what_an_earlier_release_wrote_is_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join(FILE)).unwrap();
        connection.execute_batch("CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT;").unwrap();
        for (version, step) in (1_i64..).zip(MIGRATIONS).take(2) {
            connection.execute_batch(step).unwrap();
            connection.execute("INSERT INTO schema_version VALUES (?1)", [version]).unwrap();
        }
        let json = serde_json::to_string(&kept(5).set).unwrap();
        connection.execute("INSERT INTO policy_current VALUES (1, 5, ?1, 'digest')", [json]).unwrap();
        drop(connection);
        let kept = Store::open(directory.path()).unwrap().kept().unwrap();
        assert_eq!((kept.set.version, kept.files.as_deref()), (5, Some("digest")));
    }

    #[test]
    fn a_file_of_a_later_release_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path()).unwrap());
        let connection = Connection::open(directory.path().join(FILE)).unwrap();
        connection.execute("INSERT INTO schema_version VALUES (99)", []).unwrap();
        drop(connection);
        let refusal = Store::open(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains("later release"), "{refusal}");
    }
}

//! The queries that ended, in a file of the node's state: `system.queries.recent` begins after a restart with what it ended with.
//! Of each statement the words are kept and no literal; of a text that is no SQL nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::session::kept::Kept;
use crate::session::queries::QueryRecord;

const FILE: &str = "queries.history";
/// Queries that have ended and are not written yet; of a node that ends so many faster than its disk is, some are left out.
const QUEUE_MAX: usize = 1_000;
/// Statements of which the words are known without reading them again.
const WORDS_KEPT: usize = 500;
/// The longest statement that is kept whole.
const STATEMENT_CHARS_MAX: usize = 10_000;

/// A query that ended, perhaps before this process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its identity.
    pub query_id: String,
    /// Who asked.
    pub subject: String,
    /// The statement without its literals.
    pub statement: String,
    /// Milliseconds since 1970 at which it began.
    pub started_ms: i64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Rows sent to the asker.
    pub rows: u64,
    /// How it ended.
    pub state: String,
}

impl Ended {
    fn of(record: &QueryRecord, statement: String) -> Self {
        Self {
            query_id: record.id.to_string(),
            subject: record.subject.to_string(),
            statement,
            started_ms: record.started_ms(),
            elapsed_ms: u64::try_from(record.elapsed().as_millis()).unwrap_or(u64::MAX),
            rows: record.rows(),
            state: record.progress().to_string(),
        }
    }
}

/// Where queries that end are written.
#[derive(Debug)]
pub struct History {
    before: Vec<Ended>,
    queue: SyncSender<Ended>,
    /// The words of statements, which are found by reading them; many end in the same ones.
    words: Kept<String>,
}

impl History {
    /// Opens the file in that directory. A node that cannot write there remembers while it runs, and says so.
    pub fn open(directory: &Path, limits: &Limits) -> Option<Self> {
        let kept_max = limits.recent_queries_max;
        let path = directory.join(FILE);
        let begun = fs::create_dir_all(directory).and_then(|()| {
            let before = read(&path, kept_max);
            let writer = Writer { file: rewrite(&path, &before)?, path, lines: before.len(), kept_max };
            let (queue, ended) = sync_channel(QUEUE_MAX);
            std::thread::Builder::new().name("history".to_string()).spawn(move || writer.write_all(&ended))?;
            Ok(Self { before, queue, words: Kept::new(WORDS_KEPT) })
        });
        begun
            .inspect_err(|error| tracing::warn!(directory = %directory.display(), %error, "ended queries are not kept"))
            .ok()
    }

    /// What ended before this process began, oldest first.
    pub fn before(&self) -> &[Ended] {
        &self.before
    }

    /// Keeps a query that has ended.
    pub fn keep(&self, record: &QueryRecord) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Ended::of(record, self.words_of(record))) {
            tracing::warn!("queries end faster than they can be written down; one is left out of the history");
        }
    }
}

impl History {
    /// The statement without its literals.
    fn words_of(&self, record: &QueryRecord) -> String {
        let key = blake3::hash(record.statement.as_bytes());
        if let Some(words) = self.words.get(&key) {
            return words.as_ref().clone();
        }
        let words: String = record.shown_to_others().chars().take(STATEMENT_CHARS_MAX).collect();
        self.words.keep(key, Arc::new(words.clone()));
        words
    }
}

/// The last lines of the file; what cannot be read of it is left out.
fn read(path: &Path, kept_max: usize) -> Vec<Ended> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let mut ended: Vec<Ended> = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
    ended.drain(..ended.len().saturating_sub(kept_max));
    ended
}

/// The file with these lines and no others, whole or not at all; for its owner only.
fn rewrite(path: &Path, ended: &[Ended]) -> std::io::Result<File> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    for one in ended {
        append(&mut file, one)?;
    }
    fs::rename(&new, path)?;
    OpenOptions::new().append(true).open(path)
}

fn append(file: &mut File, ended: &Ended) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(ended)?;
    line.push(b'\n');
    file.write_all(&line)
}

struct Writer {
    path: PathBuf,
    file: File,
    lines: usize,
    kept_max: usize,
}

impl Writer {
    /// Writes until nobody has anything more to say. The file is never longer than twice what is kept.
    fn write_all(mut self, ended: &Receiver<Ended>) {
        while let Ok(one) = ended.recv() {
            let written = append(&mut self.file, &one).and_then(|()| {
                self.lines += 1;
                if self.lines >= self.kept_max.saturating_mul(2) {
                    let kept = read(&self.path, self.kept_max);
                    self.file = rewrite(&self.path, &kept)?;
                    self.lines = kept.len();
                }
                Ok(())
            });
            if let Err(error) = written {
                tracing::warn!(file = %self.path.display(), %error, "a query that ended is not kept");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::identity::{Asker, Subject};
    use crate::session::queries::{Admitted, Queries, QueryId};

    fn ask(queries: &Arc<Queries>, statement: &str) -> String {
        let subject = Subject { name: "ana".to_string(), ..Subject::default() };
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let id = QueryId::random();
        let running = queries.begin(id.clone(), &Arc::new(Asker::user(subject)), statement, admitted).unwrap();
        running.finished();
        id.to_string()
    }

    /// Opened again once all up to `last` is written: a node does not start before the one that it follows has ended.
    fn opened_after(last: &str, directory: &Path, limits: &Limits) -> Arc<Queries> {
        let began = Instant::now();
        while !fs::read_to_string(directory.join(FILE)).unwrap().contains(last) {
            assert!(began.elapsed() < Duration::from_secs(20), "{last} is not written");
            std::thread::sleep(Duration::from_millis(20));
        }
        let queries = Queries::keeping(limits, directory);
        assert_eq!(queries.before().last().map(|ended| ended.query_id.as_str()), Some(last));
        queries
    }

    #[test]
    fn what_ended_is_there_after_a_restart_without_its_literals_and_the_last_ones_only() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let limits = Limits { recent_queries_max: 3, ..Limits::default() };
        let queries = Queries::keeping(&limits, &state);
        assert!(queries.before().is_empty());
        let ids: Vec<_> = (0..20).map(|number| ask(&queries, &format!("SELECT 'SECRET {number}'"))).collect();
        drop(queries);
        let again = opened_after(&ids[19], &state, &limits);
        let seen: Vec<_> = again.before().iter().map(|ended| ended.query_id.as_str()).collect();
        assert_eq!(seen, ids[17..]);
        let last = &again.before()[2];
        assert_eq!(
            (last.subject.as_str(), last.statement.as_str(), last.state.as_str()),
            ("ana", "SELECT ?", "finished")
        );
        let next = ask(&again, "SELECT 1");
        drop(again);
        let text = fs::read_to_string(state.join(FILE)).unwrap();
        assert!(!text.contains("SECRET") && text.lines().count() <= 6, "{text}");
        opened_after(&next, &state, &limits);
    }

    #[test]
    fn of_a_text_that_is_no_sql_nothing_is_kept() {
        let queries = Queries::new(10, 10);
        let shown = |text: &str| {
            ask(&queries, text);
            queries.recent().last().unwrap().shown_to_others()
        };
        assert_eq!(shown("SELECT 1 FROM t WHERE note = 'it's John Smith's'"), "?");
        assert_eq!(shown("GRANT SELECT ON TABLE s.t TO ROLE 'it's John Smith's'"), "?");
        assert_eq!(shown(&format!("SELECT {}1", "1 + ".repeat(100_000))), "?", "beyond any budget");
        assert_eq!(shown("SELECT a FROM t WHERE note = 'it''s'"), "SELECT a FROM t WHERE note = ?");
        assert_eq!(shown("DELETE FROM t WHERE note = 'x'"), "DELETE FROM t WHERE note = ?");
        assert_eq!(shown("DROP POLICY pay"), "DROP POLICY pay");
    }

    #[test]
    fn a_broken_file_is_read_as_far_as_it_goes() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let queries = Queries::keeping(&limits, directory.path());
        let id = ask(&queries, "SELECT 1");
        drop(queries);
        drop(opened_after(&id, directory.path(), &limits));
        let path = directory.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{{\n{text}{{\"query_id\":")).unwrap();
        drop(opened_after(&id, directory.path(), &limits));
    }
}

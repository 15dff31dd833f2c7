//! A connection in a transaction, on a thread of its own: it reads several statements by turns, a batch each, so that none
//! waits for another to be read to its end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use rusqlite::{Connection, ErrorCode, Rows, Statement};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use typed_arena::Arena;

use super::catalog;
use super::config::FileConfig;
use super::connection::{Watch, Watched, begin, open};
use super::decode::append_row;
use super::fault::fault;
use super::functions::{Refused, install};
use super::schema::version;
use super::types::type_name;
use crate::database::Reading;
use crate::database::batch::BatchBuilder;
use crate::error::ConnectorError;

/// A batch, `None` once all rows have come, or why no more come. At most one is on its way, and an error after it.
pub(super) type Answer = Result<Option<RecordBatch>, ConnectorError>;
const ANSWERS_MAX: usize = 2;

/// A thread that reads. It ends, and its connection with it, once nobody holds this or a scan of it.
#[derive(Debug)]
pub(super) struct Session {
    commands: Sender<Command>,
    scans: AtomicUsize,
    next_id: AtomicU64,
}

/// A connection that has begun, and what is looked at when it fails.
#[derive(Debug)]
pub(super) struct Begun {
    connection: Connection,
    watched: Watched,
    refused: Refused,
}

impl Begun {
    /// Opens a connection to `file` that has not begun yet.
    pub(super) fn open(file: &FileConfig) -> rusqlite::Result<Self> {
        let mut connection = open(file, file.busy_timeout)?;
        let (watched, refused) = (Watched::default(), Refused::default());
        install(&connection, file.epoch, &refused)?;
        watched.install(&mut connection)?;
        Ok(Self { connection, watched, refused })
    }

    /// From now on it reads one moment.
    pub(super) fn begin(&self, file: &FileConfig) -> rusqlite::Result<()> {
        begin(&self.connection, file.busy_timeout)
    }

    /// The same, or an error at once where another process has locked the file.
    pub(super) fn begin_now(&self, file: &FileConfig) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        begin(&self.connection, Duration::ZERO)?;
        self.connection.busy_timeout(file.busy_timeout)
    }

    /// Has a thread read from it; the permit is given back when it ends.
    pub(super) fn serve(self, permit: OwnedSemaphorePermit) -> std::io::Result<Session> {
        let (commands, received) = channel();
        let reading = move || {
            let _permit = permit;
            serve(&self, &received);
        };
        thread::Builder::new().name("sqlite".to_owned()).spawn(reading)?;
        Ok(Session { commands, scans: AtomicUsize::new(0), next_id: AtomicU64::new(0) })
    }
}

impl Session {
    /// How many statements it reads.
    pub(super) fn load(&self) -> usize {
        self.scans.load(Ordering::Relaxed)
    }

    /// Has it read one more.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        self.scans.fetch_add(1, Ordering::Relaxed);
        Claim(Arc::clone(self))
    }
}

/// The place of one statement in a session.
#[derive(Debug)]
pub(super) struct Claim(Arc<Session>);

impl Claim {
    /// Begins to read.
    pub(super) fn start(self, reading: Reading, watch: Watch) -> Scan {
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        let (id, watch) = (self.0.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(watch));
        let start = Start { id, reading, watch: Arc::clone(&watch), answers: sender };
        // Where the thread is gone, no answer comes, and that is an error.
        let _ = self.0.commands.send(Command::Start(Box::new(start)));
        Scan { claim: self, id, watch, answers }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.scans.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A statement that is being read. Dropped, it ends at SQLite.
#[derive(Debug)]
pub(super) struct Scan {
    claim: Claim,
    id: u64,
    watch: Arc<Watch>,
    answers: mpsc::Receiver<Answer>,
}

impl Scan {
    /// What comes next; the batch after it is then already asked for.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let answer = self.answers.recv().await;
        if matches!(answer, Some(Ok(Some(_)))) {
            let _ = self.claim.0.commands.send(Command::More(self.id));
        }
        answer
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.watch.cancel();
        let _ = self.claim.0.commands.send(Command::End(self.id));
    }
}

#[derive(Debug)]
enum Command {
    Start(Box<Start>),
    More(u64),
    End(u64),
}

#[derive(Debug)]
struct Start {
    id: u64,
    reading: Reading,
    watch: Arc<Watch>,
    answers: mpsc::Sender<Answer>,
}

fn serve(begun: &Begun, commands: &Receiver<Command>) {
    // A statement lasts as long as the session, and so its rows can be read by turns; they are reset when they end.
    let statements = Arena::new();
    let mut reader = Reader { begun, statements: &statements, scans: HashMap::new(), seen: HashSet::new() };
    loop {
        match reader.wait(commands) {
            Ok(Command::Start(start)) => reader.start(*start),
            Ok(Command::More(id)) => reader.answer(id),
            Ok(Command::End(id)) => drop(reader.scans.remove(&id)),
            Err(RecvTimeoutError::Timeout) => reader.end_what_is_late(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

struct Reader<'s, 'c> {
    begun: &'c Begun,
    statements: &'s Arena<Statement<'c>>,
    scans: HashMap<u64, OpenScan<'s>>,
    /// Tables and versions that this moment has.
    seen: HashSet<(String, String)>,
}

struct OpenScan<'s> {
    rows: Rows<'s>,
    batch: BatchBuilder,
    is_at_end: bool,
    location: Arc<str>,
    watch: Arc<Watch>,
    answers: mpsc::Sender<Answer>,
}

impl<'s, 'c> Reader<'s, 'c> {
    /// The next command; nobody's rows are kept beyond the time that they are given, whether they are asked for or not.
    fn wait(&self, commands: &Receiver<Command>) -> Result<Command, RecvTimeoutError> {
        match self.scans.values().map(|scan| scan.watch.deadline).min() {
            Some(deadline) => commands.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn start(&mut self, start: Start) {
        let (id, answers) = (start.id, start.answers.clone());
        self.begun.watched.set(&start.watch);
        match self.open(start) {
            Ok(scan) => {
                self.scans.insert(id, scan);
                self.answer(id);
            }
            Err(error) => drop(answers.try_send(Err(error))),
        }
    }

    fn open(&mut self, start: Start) -> Result<OpenScan<'s>, ConnectorError> {
        let Start { reading, watch, answers, .. } = start;
        let location = Arc::clone(&reading.location);
        // Some errors end the transaction; what was read next would be of another moment.
        if self.begun.connection.is_autocommit() {
            return Err(ConnectorError::unavailable(location.as_ref(), "the transaction has ended early"));
        }
        self.check_tables(&reading)?;
        let statement = self.begun.connection.prepare(&reading.text);
        let statement = statement.map_err(|error| self.fault(error, &location, &watch))?;
        if statement.column_count() != reading.schema.fields().len() {
            return Err(ConnectorError::Changed { location: location.to_string() });
        }
        let rows = self.statements.alloc(statement).raw_query();
        let batch = BatchBuilder::new(&reading, type_name)?;
        Ok(OpenScan { rows, batch, is_at_end: false, location, watch, answers })
    }

    /// A column that was altered since it was described would be read as another.
    fn check_tables(&mut self, reading: &Reading) -> Result<(), ConnectorError> {
        let faulty = |error| fault(&reading.location, error);
        for table in reading.tables.iter() {
            let described = (table.name.clone(), table.version.clone());
            if self.seen.contains(&described) {
                continue;
            }
            let connection = &self.begun.connection;
            let relation = catalog::relation(connection, &table.name).map_err(faulty)?;
            let now = relation.map(|relation| Ok(version(&relation, &catalog::columns(connection, &relation)?)));
            match now.transpose().map_err(faulty)? {
                Some(now) if now == table.version => self.seen.insert(described),
                _ => return Err(ConnectorError::Changed { location: format!("table `{}`", table.name) }),
            };
        }
        Ok(())
    }

    /// Sends the next batch of a scan, if it is still wanted.
    fn answer(&mut self, id: u64) {
        let Some(scan) = self.scans.get_mut(&id) else { return };
        self.begun.watched.set(&scan.watch);
        let answer = match scan.next_batch() {
            Ok(answer) => Ok(answer),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Theirs(error)) => {
                let (location, watch) = (Arc::clone(&scan.location), Arc::clone(&scan.watch));
                Err(self.fault(error, &location, &watch))
            }
        };
        let Some(scan) = self.scans.get(&id) else { return };
        let goes_on = matches!(answer, Ok(Some(_)));
        if scan.answers.try_send(answer).is_err() || !goes_on {
            self.scans.remove(&id);
        }
    }

    fn end_what_is_late(&mut self) {
        self.scans.retain(|_, scan| {
            if scan.watch.is_late() {
                drop(scan.answers.try_send(Err(late(&scan.location, "nobody has asked for its rows in time"))));
            }
            !scan.watch.is_late()
        });
    }

    /// What a function has refused, what the watch has ended, or what SQLite says.
    fn fault(&self, error: rusqlite::Error, location: &str, watch: &Watch) -> ConnectorError {
        if let Some(refused) = self.begun.refused.take() {
            return refused;
        }
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) && watch.is_late() {
            return late(location, error);
        }
        fault(location, error)
    }
}

fn late(location: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
    ConnectorError::DeadlineExceeded { location: location.to_owned(), cause: cause.into() }
}

enum Failure {
    Ours(ConnectorError),
    Theirs(rusqlite::Error),
}

impl OpenScan<'_> {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Failure> {
        while !self.is_at_end && !self.batch.is_full() {
            match self.rows.next().map_err(Failure::Theirs)? {
                Some(row) => append_row(&mut self.batch, row).map_err(Failure::Ours)?,
                None => self.is_at_end = true,
            }
        }
        if self.batch.is_empty() {
            return Ok(None);
        }
        self.batch.finish().map(Some).map_err(Failure::Ours)
    }
}

//! A109: a disk that is full, read-only, slow or broken. Nothing is answered that is not on it.

use std::io;
use std::time::Instant;

use parking_lot::Mutex;

use super::*;
use crate::audit::disk::{Disk, Files};
use crate::audit::record::Record;
use crate::audit::verify::verify;
use crate::error::Code;

/// What the disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Takes so many bytes of a write, then is full.
    Full(usize),
    /// Full, and what was taken stays.
    FullForGood,
    ReadOnly,
    SyncFails,
    DirectorySyncFails,
    Slow(Duration),
}

/// Files with a fault that the test can switch.
struct FaultyDisk {
    files: Files,
    fault: Arc<Mutex<Fault>>,
}

fn error(kind: io::ErrorKind) -> io::Result<()> {
    Err(kind.into())
}

impl Disk for FaultyDisk {
    fn create(&mut self, first: u64) -> io::Result<()> {
        let fault = *self.fault.lock();
        if fault == Fault::ReadOnly { error(io::ErrorKind::ReadOnlyFilesystem) } else { self.files.create(first) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = *self.fault.lock();
        match fault {
            Fault::ReadOnly => error(io::ErrorKind::ReadOnlyFilesystem),
            Fault::Full(room) => self.files.write(&bytes[..room]).and(error(io::ErrorKind::StorageFull)),
            Fault::FullForGood => self.files.write(&bytes[..10]).and(error(io::ErrorKind::StorageFull)),
            _ => self.files.write(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let fault = *self.fault.lock();
        match fault {
            Fault::SyncFails => Err(io::Error::from_raw_os_error(5)),
            Fault::Slow(delay) => {
                std::thread::sleep(delay);
                self.files.sync()
            }
            _ => self.files.sync(),
        }
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let fault = *self.fault.lock();
        if fault == Fault::DirectorySyncFails {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.files.sync_directory()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let fault = *self.fault.lock();
        if fault == Fault::FullForGood { error(io::ErrorKind::StorageFull) } else { self.files.cut(length) }
    }
}

/// A log of two records whose disk can fail.
struct Fixture {
    state: tempfile::TempDir,
    log: Arc<AuditLog>,
    fault: Arc<Mutex<Fault>>,
}

impl Fixture {
    async fn new(change: impl FnOnce(&mut AuditOptions)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("audit");
        let mut options = options(&directory);
        change(&mut options);
        let fault = Arc::new(Mutex::new(Fault::None));
        let switch = Arc::clone(&fault);
        let faulty = |files| -> Box<dyn Disk> { Box::new(FaultyDisk { files, fault: switch }) };
        let log = AuditLog::open_on(&directory, options, faulty).unwrap();
        log.append(intent("before", "ann")).await.unwrap();
        Self { state, log, fault }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock() = fault;
    }

    async fn refuses(&self) {
        let before = self.log.head();
        let refused = self.log.append(intent("refused", "ann")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Audit);
        assert_eq!(self.log.head(), before);
        assert_eq!(self.log.records().unwrap().count() as u64, before.seq);
    }

    /// The records of a query, in their order, once all that was appended before is dealt with.
    async fn records_of(&self, query: &str) -> Vec<Record> {
        // What follows an intent of the same batch is written after the batch; a second append waits for that too.
        for _ in 0..2 {
            self.log.append(intent("after", "ann")).await.unwrap();
        }
        let records = self.log.records().unwrap().map(Result::unwrap);
        records
            .filter(|record| match &record.entry {
                Entry::Intent(intent) => intent.query == query,
                Entry::Completion(completion) => completion.query == query,
                Entry::Closing(closing) => closing.query == query,
                _ => false,
            })
            .collect()
    }

    /// The query has an intent and, after it, a completion of it.
    async fn assert_completed(&self, query: &str) {
        let records = self.records_of(query).await;
        let [intent, completion] = records.as_slice() else { panic!("{records:#?}") };
        assert!(matches!(intent.entry, Entry::Intent(_)) && completion.seq > intent.seq, "{records:#?}");
        let Entry::Completion(completion) = &completion.entry else { panic!("{records:#?}") };
        assert_eq!(completion.intent_seq, intent.seq);
    }

    /// How many records there are when the log is opened anew, the new start not counted.
    fn reopened(self) -> u64 {
        let directory = self.state.path().join("audit");
        drop(self.log);
        drop(open(&directory));
        verify(&directory, None).unwrap().records - 1
    }
}

#[tokio::test]
async fn a_full_disk_refuses_until_there_is_room() {
    for room in [0, 1, 200] {
        let fixture = Fixture::new(|_| ()).await;
        fixture.set(Fault::Full(room));
        fixture.refuses().await;
        fixture.refuses().await;
        fixture.set(Fault::None);
        assert_eq!(fixture.log.append(intent("after", "ann")).await.unwrap().seq, 3);
        assert_eq!(fixture.reopened(), 3);
    }
}

#[tokio::test]
async fn a_full_disk_where_nothing_can_be_undone_breaks_the_log() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::FullForGood);
    assert!(!fixture.log.is_broken());
    fixture.refuses().await;
    fixture.set(Fault::None);
    fixture.refuses().await;
    assert!(fixture.log.is_broken());
    assert_eq!(fixture.reopened(), 2, "what was left of the write is cut off");
}

#[tokio::test]
async fn a_read_only_disk_refuses_until_it_can_be_written() {
    for segment_bytes in [1, 4_096] {
        let fixture = Fixture::new(|options| options.segment_bytes = segment_bytes).await;
        fixture.set(Fault::ReadOnly);
        fixture.refuses().await;
        fixture.set(Fault::None);
        assert!(!fixture.log.is_broken());
        assert_eq!(fixture.log.append(intent("after", "ann")).await.unwrap().seq, 3);
        assert_eq!(fixture.reopened(), 3);
    }
}

#[tokio::test]
async fn a_failed_sync_breaks_the_log_until_it_is_opened_anew() {
    for fault in [Fault::SyncFails, Fault::DirectorySyncFails] {
        let fixture = Fixture::new(|options| options.segment_bytes = 1).await;
        fixture.set(fault);
        fixture.refuses().await;
        fixture.set(Fault::None);
        fixture.refuses().await;
        assert!(fixture.log.is_broken());
        assert_eq!(fixture.reopened(), 2, "nobody was told of the third record");
    }
}

#[tokio::test]
async fn all_that_wait_for_a_failed_sync_are_refused() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::Slow(Duration::from_millis(50)));
    let first = fixture.log.append(intent("first", "ann"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let waiting: Vec<_> = (0..20).map(|number| fixture.log.append(intent(&number.to_string(), "ann"))).collect();
    fixture.set(Fault::SyncFails);
    first.await.unwrap();
    for append in waiting {
        assert_eq!(append.await.unwrap_err().code(), Code::Audit);
    }
    assert_eq!(fixture.reopened(), 3);
}

#[tokio::test]
async fn a_slow_disk_is_waited_for_only_so_long() {
    let fixture = Fixture::new(|options| options.timeout = Duration::from_millis(100)).await;
    fixture.set(Fault::Slow(Duration::from_millis(600)));
    let begun = Instant::now();
    let refused = fixture.log.append(intent("slow", "ann")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Audit);
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(fixture.log.head().seq, 2, "and it was not on the disk");
    assert_eq!(fixture.reopened(), 3, "it came to be there, and nothing left on its strength");
}

#[tokio::test]
async fn more_records_than_may_wait_are_refused_at_once() {
    let fixture = Fixture::new(|options| options.queue_max = 4).await;
    fixture.set(Fault::Slow(Duration::from_millis(300)));
    let appends: Vec<_> = (0..20).map(|number| fixture.log.append(intent(&number.to_string(), "ann"))).collect();
    let mut refused = 0;
    for append in appends {
        refused += u64::from(append.await.is_err());
    }
    // Sixteen, unless the machine held this test up so long that the disk was ready again in between.
    assert!((1..=16).contains(&refused), "{refused}");
    assert_eq!(fixture.reopened(), 2 + 20 - refused);
}

#[tokio::test]
async fn the_refusal_says_nothing_of_the_disk() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::SyncFails);
    let refused = fixture.log.append(intent("q", "ann")).await.unwrap_err();
    assert!(!refused.to_string().contains("sync") && !refused.to_string().contains("error 5"), "{refused}");
    assert!(refused.chain().contains("os error 5"), "the log keeps the cause: {}", refused.chain());
}

#[tokio::test]
async fn a_completion_that_a_full_disk_refuses_is_written_with_what_comes_next() {
    for segment_bytes in [1, 4_096] {
        let fixture = Fixture::new(|options| options.segment_bytes = segment_bytes).await;
        let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
        lasting.await.unwrap();
        fixture.set(Fault::ReadOnly);
        ending.append(None, completion_of("q"));
        fixture.refuses().await;
        fixture.refuses().await;
        fixture.set(Fault::None);
        fixture.assert_completed("q").await;
        assert_eq!(fixture.reopened(), 6, "start, before, q twice, after twice");
    }
}

#[tokio::test]
async fn a_completion_that_was_refused_is_written_when_the_log_is_closed() {
    let fixture = Fixture::new(|_| ()).await;
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    lasting.await.unwrap();
    fixture.set(Fault::Full(0));
    ending.append(None, completion_of("q"));
    fixture.refuses().await;
    fixture.set(Fault::None);
    assert_eq!(fixture.reopened(), 4, "start, before, q twice");
}

/// The statement was cancelled, or its time was over, while the disk took its time.
#[tokio::test]
async fn an_intent_that_nobody_waits_for_any_more_is_completed() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::Slow(Duration::from_millis(50)));
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    drop(lasting);
    ending.append(None, completion_of("q"));
    fixture.assert_completed("q").await;
}

#[tokio::test]
async fn an_intent_that_is_not_written_has_no_completion() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::Full(1));
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    assert_eq!(lasting.await.unwrap_err().code(), Code::Audit);
    ending.append(None, completion_of("q"));
    fixture.set(Fault::None);
    assert_eq!(fixture.records_of("q").await, []);
}

#[tokio::test]
async fn the_end_of_a_statement_has_its_place_in_a_full_queue() {
    let fixture = Fixture::new(|options| options.queue_max = 4).await;
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    lasting.await.unwrap();
    fixture.set(Fault::Slow(Duration::from_millis(300)));
    let waiting: Vec<_> = (0..20).map(|number| fixture.log.append(intent(&number.to_string(), "ann"))).collect();
    ending.append(None, completion_of("q"));
    let mut refused = 0;
    for append in waiting {
        refused += u64::from(append.await.is_err());
    }
    assert!(refused >= 1, "the queue was full");
    fixture.set(Fault::None);
    fixture.assert_completed("q").await;
}

#[tokio::test]
async fn a_closing_record_is_kept_with_its_completion() {
    let fixture = Fixture::new(|_| ()).await;
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    lasting.await.unwrap();
    fixture.set(Fault::Full(0));
    let Entry::Closing(closing) = closing("g-1") else { panic!() };
    ending.append(Some(closing), completion_of("q"));
    fixture.refuses().await;
    fixture.set(Fault::None);
    let records = fixture.records_of("q").await;
    assert!(
        matches!(records.as_slice(), [_, closing, completion]
        if matches!(closing.entry, Entry::Closing(_)) && matches!(completion.entry, Entry::Completion(_))),
        "{records:#?}"
    );
}

#[tokio::test]
async fn what_is_owed_is_refused_now_and_written_later() {
    let fixture = Fixture::new(|_| ()).await;
    fixture.set(Fault::Full(0));
    assert_eq!(fixture.log.append_owed(closing("g-1")).await.unwrap_err().code(), Code::Audit);
    fixture.set(Fault::None);
    assert_eq!(fixture.records_of("q").await.len(), 1);
}

#[tokio::test]
async fn of_a_change_that_comes_to_be_written_too_late_the_record_says_so() {
    let change = |query: &str| Change {
        query: query.to_string(),
        author: "admin".to_string(),
        version: 1,
        statement: "CREATE PURPOSE p".to_string(),
        inverse: "DROP PURPOSE p".to_string(),
    };
    let fixture = Fixture::new(|options| options.timeout = Duration::from_millis(100)).await;
    fixture.set(Fault::Slow(Duration::from_millis(600)));
    let (ending, lasting) = fixture.log.begin_change(change("late")).unwrap();
    assert_eq!(lasting.await.unwrap_err().code(), Code::Audit);
    ending.append(None, Completion { outcome: Outcome::failed(Code::Audit), ..completion_of("late") });
    fixture.set(Fault::None);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let (_ending, lasting) = fixture.log.begin_change(change("in time")).unwrap();
    lasting.await.unwrap();
    let records = fixture.records_of("late").await;
    let [record] = records.as_slice() else { panic!("{records:#?}") };
    assert!(matches!(&record.entry, Entry::Completion(completion) if completion.intent_seq == 3), "{record:?}");
    for after in [0, 2] {
        assert!(!fixture.log.has_change("late", after).unwrap(), "it is there, and failed");
        assert!(fixture.log.has_change("in time", after).unwrap());
    }
    let seq = fixture.log.head().seq;
    assert!(!fixture.log.has_change("in time", seq).unwrap() && !fixture.log.has_change("never", 0).unwrap());
}

#[tokio::test]
async fn a_log_is_closed_while_a_statement_has_not_ended() {
    let fixture = Fixture::new(|_| ()).await;
    let (ending, lasting) = fixture.log.begin(intent_of("q", asker("ann"))).unwrap();
    lasting.await.unwrap();
    assert_eq!(fixture.reopened(), 3);
    ending.append(None, completion_of("q"));
}

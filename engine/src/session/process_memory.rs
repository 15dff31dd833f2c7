//! What the process has in memory, whoever counts it. Most of what statements take is counted in a pool ([`super::memory`]) before
//! it is taken; the rest is seen here. Above what the process may have, the allocator first gives back what nobody uses; then the
//! statement that holds the most ends with MEMORY, and the next one, until the rest has room.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
use tikv_jemalloc_ctl::{Access, AsName, arenas};

use super::queries::{Queries, QueryRecord, Stop};
use super::watchdog;
use crate::error::{Code, EngineError, Result};

/// How fast a core fills memory, about, in bytes a millisecond: before so much is taken as there is room, it is looked again.
const FILLED_PER_MS: usize = 2 << 20;
/// How often it is looked, at most and at least.
const LOOKS_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// How long what a statement held that was ended may take to come back, before another one is ended.
const COMES_BACK: Duration = Duration::from_millis(250);
/// What is asked for before it is taken; less is not.
const ASKED: usize = 1 << 20;
/// A statement that holds less is ended for nobody.
const HELD: u64 = 1 << 20;
/// How long what the allocator gave back suffices.
const GIVEN_BACK: Duration = Duration::from_millis(20);
/// How often it is told that there is too much that no statement holds.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The queries of the nodes of this process.
static NODES: Mutex<Vec<Weak<Queries>>> = Mutex::new(Vec::new());
/// What was asked for, and is being taken.
static CLAIMED: AtomicUsize = AtomicUsize::new(0);

/// Keeps the process below what its nodes may have together, for as long as these queries live.
///
/// # Errors
/// When there is no thread for it.
pub fn keep(queries: &Arc<Queries>) -> Result<()> {
    static KEEPING: Mutex<bool> = Mutex::new(false);
    NODES.lock().push(Arc::downgrade(queries));
    let mut keeping = KEEPING.lock();
    if !*keeping {
        let begun = thread::Builder::new().name("memory".to_string()).spawn(|| {
            let mut keeper = Keeper::default();
            loop {
                thread::sleep(keeper.look(&nodes()));
            }
        });
        begun.map_err(|error| EngineError::defect(format!("no thread for the memory of the process: {error}")))?;
        *keeping = true;
    }
    Ok(())
}

fn nodes() -> Vec<Arc<Queries>> {
    let mut nodes = NODES.lock();
    nodes.retain(|queries| queries.strong_count() > 0);
    nodes.iter().filter_map(Weak::upgrade).collect()
}

/// What the process may have; `None` where nobody keeps to it.
pub fn bytes_max() -> Option<usize> {
    of_all(&nodes())
}

fn of_all(nodes: &[Arc<Queries>]) -> Option<usize> {
    nodes.iter().map(|queries| queries.process_memory_bytes()).reduce(usize::saturating_add)
}

/// Room that is kept for what is being taken.
#[derive(Debug)]
#[must_use]
pub struct Room(usize);

impl Drop for Room {
    fn drop(&mut self) {
        CLAIMED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Room in the process for so many bytes, which the statement that this thread works for is about to take at once; little is not
/// asked for. Where others hold more, it is they who end for what is too much.
///
/// # Errors
/// `MEMORY` when there is none; the reason why the statement must stop.
pub fn room_for(bytes: usize) -> Result<Option<Room>> {
    if bytes < ASKED {
        return Ok(None);
    }
    let Some(record) = watchdog::own_record() else { return Ok(None) };
    record.is_wanted()?;
    let nodes = nodes();
    let Some(bytes_max) = of_all(&nodes) else { return Ok(None) };
    let claimed = CLAIMED.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
    let room = Room(bytes);
    let fits = || resident_bytes().is_none_or(|resident| resident.saturating_add(claimed) <= bytes_max);
    if fits() {
        return Ok(Some(room));
    }
    give_back();
    if fits() {
        return Ok(Some(room));
    }
    let would_hold = record.held().saturating_add(bytes as u64);
    match holds_the_most(&nodes) {
        Some(other) if other.held() > would_hold => Ok(Some(room)),
        _ => Err(no_room(bytes_max)),
    }
}

fn no_room(bytes_max: usize) -> EngineError {
    let sentence = format!(
        "this node has no memory left for what the statement would make; its process may have {bytes_max} bytes \
         (`process_memory_bytes`): ask for less at once, or again later"
    );
    EngineError::new(Code::Memory, sentence)
}

/// What the process has in memory, as Linux counts it; `None` where nobody tells.
pub fn resident_bytes() -> Option<usize> {
    static STATUS: LazyLock<io::Result<File>> = LazyLock::new(|| File::open("/proc/self/status"));
    let mut text = [0; 16 << 10];
    let read = STATUS.as_ref().ok()?.read_at(&mut text, 0).ok()?;
    resident_in(&String::from_utf8_lossy(text.get(..read)?))
}

fn resident_in(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1_024)
}

/// What this thread has taken since it was last asked, less what it gave back.
pub(super) fn taken_since() -> i64 {
    /// Where the allocator counts for a thread, and what it had counted.
    struct Meter {
        counters: Option<(ThreadLocal<u64>, ThreadLocal<u64>)>,
        seen: Cell<i64>,
    }
    thread_local! {
        static METER: Meter = Meter {
            counters: allocatedp::read().ok().zip(deallocatedp::read().ok()),
            seen: const { Cell::new(0) },
        };
    }
    let since = METER.try_with(|meter| {
        let Some((taken, given)) = meter.counters else { return 0 };
        let now = taken.get().cast_signed().wrapping_sub(given.get().cast_signed());
        now.wrapping_sub(meter.seen.replace(now))
    });
    // A thread that ends counts no more.
    since.unwrap_or_default()
}

/// Has the allocator give back what it keeps for a while; one thread after another, and who comes soon after finds it done.
fn give_back() {
    /// For how long each arena usually keeps what is not used, and when all had given it back.
    #[derive(Default)]
    struct Arenas {
        usual: Vec<Option<isize>>,
        given_back: Option<Instant>,
    }
    static ARENAS: Mutex<Arenas> = Mutex::new(Arenas { usual: Vec::new(), given_back: None });
    let mut all = ARENAS.lock();
    if all.given_back.is_some_and(|at| at.elapsed() < GIVEN_BACK) {
        return;
    }
    let count = arenas::narenas::read().unwrap_or_default();
    all.usual.resize(usize::try_from(count).unwrap_or_default(), None);
    for (number, usual) in all.usual.iter_mut().enumerate() {
        let kept_for = format!("arena.{number}.dirty_decay_ms\0");
        let kept_for = kept_for.as_bytes().name();
        // Those that are not in use refuse.
        let Some(usual) = usual.or_else(|| kept_for.read().ok()) else { continue };
        // What is to be kept for no time is given back at once.
        if let Err(error) = kept_for.write(0_isize).and_then(|()| kept_for.write(usual)) {
            tracing::warn!(%error, "the allocator does not give back");
        }
    }
    all.given_back = Some(Instant::now());
}

/// Who looks how much the process has.
struct Keeper {
    cores: usize,
    last: Option<Ended>,
    told: Option<Instant>,
}

/// The last statement that was ended.
struct Ended {
    at: Instant,
    /// By how much the process had too much then.
    excess: usize,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { cores: thread::available_parallelism().map_or(1, usize::from), last: None, told: None }
    }
}

impl Keeper {
    /// Looks once; tells when to look again.
    fn look(&mut self, nodes: &[Arc<Queries>]) -> Duration {
        let (soonest, latest) = LOOKS_EVERY;
        let Some(bytes_max) = of_all(nodes) else { return latest };
        let Some(mut resident) = resident_bytes() else {
            self.tell("nobody tells how much memory the process has: it is kept below its limit by nobody");
            return latest;
        };
        if resident > bytes_max {
            give_back();
            resident = resident_bytes().unwrap_or(resident);
        }
        let Some(excess) = resident.checked_sub(bytes_max).filter(|excess| *excess > 0) else {
            self.last = None;
            let filled_ms = (bytes_max - resident) / FILLED_PER_MS.saturating_mul(self.cores);
            return Duration::from_millis(filled_ms as u64).clamp(soonest, latest);
        };
        if self.comes_back(excess, bytes_max / 50) {
            return soonest;
        }
        let Some(record) = holds_the_most(nodes) else {
            self.tell("the process has more memory than it may, and no statement holds much of it");
            return latest;
        };
        record.stop(Stop::Memory(bytes_max));
        self.last = Some(Ended { at: Instant::now(), excess });
        let (query, bytes) = (record.id.as_str(), record.held());
        record.span().in_scope(|| tracing::warn!(query, bytes, "ended: it held the most of too much memory"));
        soonest
    }

    /// Whether what is too much may be held by statements that are over and have not let go yet.
    fn comes_back(&self, excess: usize, little: usize) -> bool {
        let Some(last) = &self.last else { return false };
        if excess > last.excess.saturating_add(little) {
            return false;
        }
        let over = watchdog::at_work().into_iter().filter(|record| record.go_on().is_err());
        last.at.elapsed() < COMES_BACK || over.map(|record| record.held()).sum::<u64>() >= excess as u64
    }

    fn tell(&mut self, what: &str) {
        if self.told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            tracing::error!("ALARM: {what} (`process_memory_bytes`)");
        }
    }
}

/// What runs and holds the most, if that is something; nothing that changes what is in force here.
fn holds_the_most(nodes: &[Arc<Queries>]) -> Option<Arc<QueryRecord>> {
    let running = nodes.iter().flat_map(|queries| queries.running());
    let can_end = running.filter(|record| record.go_on().is_ok() && !record.changes());
    can_end.max_by_key(|record| record.held()).filter(|record| record.held() >= HELD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::site_table::SiteId;
    use crate::config::Limits;
    use crate::identity::Asker;
    use crate::session::queries::{Admitted, QueryId};

    #[test]
    fn the_memory_of_this_process_is_read() {
        assert_eq!(resident_in("VmHWM:\t 9 kB\nVmRSS:\t     512 kB\nThreads:\t17\n"), Some(512 << 10));
        assert_eq!(resident_in("Threads:\t17\n"), None);
        assert!(resident_bytes().unwrap() > 1 << 20);
    }

    #[test]
    fn whoever_holds_the_most_is_ended_and_then_the_next() {
        // No process is so small.
        let limits = Limits { process_memory_bytes: 1, running_queries_max: 10, ..Limits::default() };
        let queries = Queries::of(&limits, None);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let running: Vec<_> = [0, 30, 20, 40]
            .iter()
            .map(|mib| {
                let query = queries.begin(QueryId::random(), &ann, "SELECT 1", admitted).unwrap();
                query.record().takes(mib << 20);
                query
            })
            .collect();
        running[3].record().begin_change().unwrap();
        let ended = || -> Vec<_> { running.iter().map(|query| query.record().go_on().is_err()).collect() };
        let nodes = [queries];
        let mut keeper = Keeper::default();
        keeper.look(&nodes);
        assert_eq!(ended(), [false, true, false, false]);
        assert_eq!(running[1].record().go_on().unwrap_err().code(), Code::Memory);
        keeper.look(&nodes);
        assert_eq!(ended(), [false, true, false, false], "what it held may come back yet");
        for _ in 0..2 {
            keeper.last = None;
            keeper.look(&nodes);
        }
        assert_eq!(ended(), [false, true, true, false], "the first holds nothing, and the last changes something");
    }

    #[test]
    fn what_is_held_is_never_less_than_what_was_reserved() {
        let queries = Queries::new(1, 1);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let query = queries.begin(QueryId::random(), &ann, "SELECT 1", admitted).unwrap();
        let record = query.record();
        // Others have taken what its threads gave back.
        record.takes(-(10 << 30));
        record.memory.add(7);
        assert_eq!(record.held(), 7);
        // What came from sites was theirs to give back, and no more.
        let entry = record.open_entry(SiteId::new("north"), Arc::from("SELECT 1"), None);
        entry.bytes_received.store(10 << 30, Ordering::Relaxed);
        record.takes(-(11 << 30));
        entry.bytes_received.store(20 << 30, Ordering::Relaxed);
        record.hands_on(10 << 30);
        assert_eq!(record.held(), 7);
        record.takes(1 << 30);
        assert!(record.held() > 900 << 20, "what others took counts for little: {}", record.held());
    }
}

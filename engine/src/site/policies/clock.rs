//! The site's time for policy: the machine's clock, never earlier than it once was (P5).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use policy::time::Instant;

use crate::identity::Clock;

const MICROSECONDS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Reads a clock: microseconds since 1970, UTC.
pub type ReadClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A clock that only goes forward. The latest time it told is written down by its owner, so that this holds across
/// restarts too.
pub(super) struct SiteClock {
    read: ReadClock,
    floor: AtomicI64,
    written: AtomicI64,
}

impl fmt::Debug for SiteClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteClock").field("floor", &self.floor).finish_non_exhaustive()
    }
}

impl SiteClock {
    /// A clock that tells nothing before `floor`, which is written down.
    pub(super) fn new(read: ReadClock, floor: Option<Instant>) -> Self {
        let floor = floor.map_or(i64::MIN, |floor| floor.0);
        Self { read, floor: AtomicI64::new(floor), written: AtomicI64::new(floor) }
    }

    /// The time.
    pub(super) fn now(&self) -> Instant {
        let read = (self.read)().0;
        Instant(self.floor.fetch_max(read, Ordering::AcqRel).max(read))
    }

    /// Whether so much time has passed, by this clock, since what is written down.
    pub(super) fn is_unwritten_for(&self, microseconds: i64) -> bool {
        self.now().0.saturating_sub(self.written.load(Ordering::Acquire)) >= microseconds
    }

    /// That time is written down.
    pub(super) fn is_written(&self, time: Instant) {
        self.written.fetch_max(time.0, Ordering::AcqRel);
    }
}

/// The machine's clock, which goes on while the process lives: one that is set back, or stands still, lengthens no grant.
pub fn machine_clock() -> ReadClock {
    let clock = Clock::default();
    Arc::new(move || {
        let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// Days since 1970, UTC: what `PER DAY` means.
pub(super) fn day_of(moment: Instant) -> i64 {
    moment.0.div_euclid(MICROSECONDS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let machine = Arc::new(AtomicI64::new(100));
        let hands = Arc::clone(&machine);
        let clock = SiteClock::new(Arc::new(move || Instant(hands.load(Ordering::Relaxed))), Some(Instant(50)));
        assert_eq!(clock.now(), Instant(100));
        machine.store(40, Ordering::Relaxed);
        assert_eq!(clock.now(), Instant(100), "set back: it waits");
        machine.store(101, Ordering::Relaxed);
        assert_eq!(clock.now(), Instant(101));
        let started_again = SiteClock::new(Arc::new(|| Instant(40)), Some(Instant(101)));
        assert_eq!(started_again.now(), Instant(101));
    }

    #[test]
    fn time_that_has_passed_is_to_be_written_down() {
        let machine = Arc::new(AtomicI64::new(100));
        let hands = Arc::clone(&machine);
        let clock = SiteClock::new(Arc::new(move || Instant(hands.load(Ordering::Relaxed))), Some(Instant(100)));
        assert!(!clock.is_unwritten_for(5));
        machine.store(105, Ordering::Relaxed);
        assert!(clock.is_unwritten_for(5));
        clock.is_written(Instant(104));
        assert!(!clock.is_unwritten_for(5) && clock.is_unwritten_for(1));
        let new = SiteClock::new(Arc::new(|| Instant(40)), None);
        assert!(new.is_unwritten_for(5), "nothing ever was");
    }

    #[test]
    fn a92_an_hour_back_ahead_or_lost_revives_nothing() {
        const HOUR: i64 = 3_600_000_000;
        let machine = Arc::new(AtomicI64::new(10 * HOUR));
        let hands = Arc::clone(&machine);
        let clock = SiteClock::new(Arc::new(move || Instant(hands.load(Ordering::Relaxed))), None);
        let over = clock.now();
        for hands in [9 * HOUR, 10 * HOUR, 11 * HOUR, 10 * HOUR, 11 * HOUR, 11 * HOUR] {
            let before = clock.now();
            machine.store(hands, Ordering::Relaxed);
            assert!(clock.now() >= before && clock.now() >= over, "what was over is over still");
        }
        assert_eq!(clock.now(), Instant(11 * HOUR), "and an hour ahead is believed, though it was taken back");
    }

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(day_of(Instant(MICROSECONDS_PER_DAY - 1)), 0);
        assert_eq!(day_of(Instant(MICROSECONDS_PER_DAY)), 1);
        assert_eq!(day_of(Instant(-1)), -1);
    }
}

//! The time that identities are checked at: setting the machine's clock back revives nothing.

use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

/// A clock that never goes back while the process lives, nor behind the time that it begins with.
#[derive(Debug)]
pub(super) struct Clock(Mutex<(SystemTime, Instant)>);

impl Default for Clock {
    fn default() -> Self {
        Self::not_before(SystemTime::now())
    }
}

impl Clock {
    /// A clock that tells no time before this.
    pub(super) fn not_before(floor: SystemTime) -> Self {
        Self(Mutex::new((floor, Instant::now())))
    }

    /// The machine's time, or what has passed since the latest time told if that is later.
    pub(super) fn now(&self) -> SystemTime {
        let mut latest = self.0.lock();
        let (told, at) = *latest;
        let since_told = told.checked_add(at.elapsed()).unwrap_or(told);
        *latest = (SystemTime::now().max(since_told), Instant::now());
        latest.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_on_from_the_latest_time() {
        let ahead = SystemTime::now() + Duration::from_secs(3_600);
        let clock = Clock::not_before(ahead);
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        let second = clock.now();
        assert!(first >= ahead && second >= first + Duration::from_millis(20), "{first:?} {second:?}");
    }
}

//! Passwords that are guessed: whoever sends wrong ones for a name from one address waits, longer each time, and an alarm is in the
//! log. The name's own user, who comes from elsewhere, does not wait for that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

/// The first wait; each further wrong password doubles it.
const WAIT_MIN: Duration = Duration::from_secs(1);
const DOUBLED_MAX: u32 = 20;
/// Of a name so many bytes tell it from others.
const NAME_BYTES_KEPT: usize = 255;

/// Who guesses what: a name as it was sent, and from where.
type Guesser = (String, Option<IpAddr>);

/// The wrong passwords of late.
#[derive(Debug)]
pub(super) struct Guesses {
    free: u32,
    longest: Duration,
    kept_max: usize,
    wrong: Mutex<HashMap<Guesser, Wrong>>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    times: u32,
    last: Instant,
}

impl Guesses {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            free: limits.password_failures_free,
            longest: Duration::from_secs(limits.password_wait_s_max),
            kept_max: limits.password_guessers_max,
            wrong: Mutex::default(),
        }
    }

    /// Whether a password may be tried now; nothing is said about it.
    ///
    /// # Errors
    /// `BUSY`, with the time to wait.
    pub(super) fn check(&self, name: &str, from: Option<IpAddr>) -> Result<()> {
        let wrong = self.wrong.lock();
        let Some(of_late) = wrong.get(&guesser(name, from)) else { return Ok(()) };
        let left = self.wait(of_late.times).saturating_sub(of_late.last.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        let sentence = format!(
            "there were {} wrong passwords for this name from this address; try again in {} s",
            of_late.times,
            left.as_secs() + 1
        );
        Err(EngineError::new(Code::Busy, sentence).to_retry_after(left))
    }

    /// A password was wrong.
    pub(super) fn was_wrong(&self, name: &str, from: Option<IpAddr>) {
        let mut wrong = self.wrong.lock();
        let now = Instant::now();
        if wrong.len() >= self.kept_max {
            wrong.retain(|_, of_late| now.duration_since(of_late.last) < self.longest);
        }
        // Still full: those who guess most are kept.
        if wrong.len() >= self.kept_max {
            wrong.retain(|_, of_late| of_late.times > self.free);
        }
        if wrong.len() >= self.kept_max {
            tracing::warn!("passwords are guessed for more names and from more addresses than are remembered");
            wrong.clear();
        }
        let of_late = wrong.entry(guesser(name, from)).or_insert(Wrong { times: 0, last: now });
        // Whoever has been quiet for longer than anybody waits begins anew.
        if now.duration_since(of_late.last) > self.longest.saturating_mul(2) {
            of_late.times = 0;
        }
        of_late.times = of_late.times.saturating_add(1);
        of_late.last = now;
        let beyond = of_late.times.checked_sub(self.free);
        if beyond.is_some_and(|beyond| beyond == 0 || beyond.is_power_of_two()) {
            let (times, from) = (of_late.times, from.map(|from| from.to_string()).unwrap_or_default());
            tracing::warn!(times, from, "ALARM: a password is guessed; whoever does must wait");
        }
    }

    /// A password was right: what was wrong before was a slip.
    pub(super) fn was_right(&self, name: &str, from: Option<IpAddr>) {
        self.wrong.lock().remove(&guesser(name, from));
    }

    fn wait(&self, times: u32) -> Duration {
        match times.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => WAIT_MIN.saturating_mul(1 << beyond.min(DOUBLED_MAX)).min(self.longest),
        }
    }
}

fn guesser(name: &str, from: Option<IpAddr>) -> Guesser {
    let end = (0..=NAME_BYTES_KEPT.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
    (name.get(..end).unwrap_or_default().to_string(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses(kept_max: usize) -> Guesses {
        Guesses::new(&Limits {
            password_failures_free: 3,
            password_guessers_max: kept_max,
            password_wait_s_max: 3_600,
            ..Limits::default()
        })
    }

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn whoever_guesses_waits_and_others_do_not() {
        let guesses = guesses(100);
        for _ in 0..3 {
            guesses.check("ana", HERE).unwrap();
            guesses.was_wrong("ana", HERE);
        }
        let told = guesses.check("ana", HERE).unwrap_err();
        assert_eq!(told.code(), Code::Busy);
        assert!(told.retry_after().unwrap() <= WAIT_MIN, "{told:?}");
        guesses.check("ana", None).unwrap();
        guesses.check("bob", HERE).unwrap();
        for _ in 0..3 {
            guesses.was_wrong("ana", HERE);
        }
        assert!(guesses.check("ana", HERE).unwrap_err().retry_after().unwrap() > 4 * WAIT_MIN);
        guesses.was_right("ana", HERE);
        guesses.check("ana", HERE).unwrap();
    }

    #[test]
    fn a_wait_has_an_end_and_what_is_kept_too() {
        let guesses = guesses(10);
        for _ in 0..100 {
            guesses.was_wrong("ana", HERE);
        }
        assert!(guesses.check("ana", HERE).unwrap_err().retry_after().unwrap() <= Duration::from_secs(3_600));
        for number in 0..100 {
            guesses.was_wrong(&format!("{number} {}", "é".repeat(200)), HERE);
        }
        assert!(guesses.wrong.lock().len() <= 10);
        guesses.check("ana", HERE).unwrap_err();
    }
}

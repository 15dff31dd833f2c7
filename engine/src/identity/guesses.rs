//! Passwords that are guessed: whoever sends wrong ones for a name from one address waits, longer each time, and an alarm is in the
//! log. The name's own user, who comes from elsewhere, does not wait for that. Passwords that are sent at once are counted before they
//! are checked: of all of them no more may turn out wrong than one after another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

/// The first wait; each further wrong password doubles it.
const WAIT_MIN: Duration = Duration::from_secs(1);
const DOUBLED_MAX: u32 = 20;
/// Of a name so many bytes tell it from others.
const NAME_BYTES_KEPT: usize = 255;

/// Whoever has one address of such a network has all of it.
const NETWORK_BITS: u32 = 64;

/// Who guesses what: a name as it was sent, and from where.
type Guesser = (String, Option<IpAddr>);

/// The wrong passwords of late.
#[derive(Debug)]
pub(super) struct Guesses {
    free: u32,
    longest: Duration,
    kept_max: usize,
    of_late: Mutex<OfLate>,
    /// An attempt has ended.
    ended: Notify,
    waiting: Semaphore,
}

#[derive(Debug, Default)]
struct OfLate {
    wrong: HashMap<Guesser, Wrong>,
    /// How many passwords are being checked.
    trying: HashMap<Guesser, usize>,
}

/// A password that is being checked; dropped, it was neither right nor wrong.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    guesses: &'a Guesses,
    guesser: Guesser,
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
            of_late: Mutex::default(),
            ended: Notify::new(),
            waiting: Semaphore::new(limits.password_queue_max),
        }
    }

    /// The turn to try a password, at once or when others for the same name from the same address have ended; nothing is said
    /// about the password.
    ///
    /// # Errors
    /// `BUSY`, with the time to wait, or when too many wait already.
    pub(super) async fn turn(&self, name: &str, from: Option<IpAddr>) -> Result<Attempt<'_>> {
        let guesser = guesser(name, from);
        if let Some(attempt) = self.begin(&guesser)? {
            return Ok(attempt);
        }
        let _place = self.waiting.try_acquire().map_err(|_| {
            EngineError::new(Code::Busy, "too many passwords are being checked at this server; try again later")
        })?;
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            if let Some(attempt) = self.begin(&guesser)? {
                return Ok(attempt);
            }
            ended.await;
        }
    }

    /// `None` while so many are being tried that, were they all wrong, this one would have to wait.
    fn begin(&self, guesser: &Guesser) -> Result<Option<Attempt<'_>>> {
        let mut of_late = self.of_late.lock();
        let (times, waited) =
            of_late.wrong.get(guesser).map_or((0, Duration::MAX), |wrong| (wrong.times, wrong.last.elapsed()));
        let left = self.wait(times).saturating_sub(waited);
        if !left.is_zero() {
            let sentence = format!(
                "there were {times} wrong passwords for this name from this address; try again in {} s",
                left.as_secs() + 1
            );
            return Err(EngineError::new(Code::Busy, sentence).to_retry_after(left));
        }
        let at_once = usize::try_from(self.free.saturating_sub(times)).unwrap_or(usize::MAX).max(1);
        let trying = of_late.trying.entry(guesser.clone()).or_default();
        if *trying >= at_once {
            return Ok(None);
        }
        *trying += 1;
        Ok(Some(Attempt { guesses: self, guesser: guesser.clone() }))
    }

    fn was_wrong(&self, guesser: &Guesser) {
        let wrong = &mut self.of_late.lock().wrong;
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
        let of_late = wrong.entry(guesser.clone()).or_insert(Wrong { times: 0, last: now });
        // Whoever has been quiet for longer than anybody waits begins anew.
        if now.duration_since(of_late.last) > self.longest.saturating_mul(2) {
            of_late.times = 0;
        }
        of_late.times = of_late.times.saturating_add(1);
        of_late.last = now;
        let beyond = of_late.times.checked_sub(self.free);
        if beyond.is_some_and(|beyond| beyond == 0 || beyond.is_power_of_two()) {
            let (times, from) = (of_late.times, guesser.1.map(|from| from.to_string()).unwrap_or_default());
            tracing::warn!(times, from, "ALARM: a password is guessed; whoever does must wait");
        }
    }

    fn wait(&self, times: u32) -> Duration {
        match times.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => WAIT_MIN.saturating_mul(1 << beyond.min(DOUBLED_MAX)).min(self.longest),
        }
    }
}

impl Attempt<'_> {
    /// The password was wrong.
    pub(super) fn was_wrong(self) {
        self.guesses.was_wrong(&self.guesser);
    }

    /// The password was right: what was wrong before was a slip.
    pub(super) fn was_right(self) {
        self.guesses.of_late.lock().wrong.remove(&self.guesser);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let trying = &mut self.guesses.of_late.lock().trying;
        if let Some(others) = trying.get_mut(&self.guesser) {
            *others = others.saturating_sub(1);
            if *others == 0 {
                trying.remove(&self.guesser);
            }
        }
        self.guesses.ended.notify_waiters();
    }
}

/// The network of an address, where it has many: one caller may come from each of its addresses in turn.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let rest = u128::BITS - NETWORK_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> rest << rest))
        }
    }
}

fn guesser(name: &str, from: Option<IpAddr>) -> Guesser {
    let end = (0..=NAME_BYTES_KEPT.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
    (name.get(..end).unwrap_or_default().to_string(), from.map(network))
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

    fn wrong(guesses: &Guesses, name: &str) {
        guesses.was_wrong(&guesser(name, HERE));
    }

    /// As by one call that nobody else is beside.
    fn check<'a>(guesses: &'a Guesses, name: &str, from: Option<IpAddr>) -> Result<Attempt<'a>> {
        guesses.begin(&guesser(name, from)).map(|attempt| attempt.expect("no other is tried"))
    }

    #[test]
    fn whoever_guesses_waits_and_others_do_not() {
        let guesses = guesses(100);
        for _ in 0..3 {
            check(&guesses, "ana", HERE).unwrap().was_wrong();
        }
        let told = check(&guesses, "ana", HERE).unwrap_err();
        assert_eq!(told.code(), Code::Busy);
        assert!(told.retry_after().unwrap() <= WAIT_MIN, "{told:?}");
        drop(check(&guesses, "ana", None).unwrap());
        drop(check(&guesses, "bob", HERE).unwrap());
        for _ in 0..3 {
            wrong(&guesses, "ana");
        }
        assert!(check(&guesses, "ana", HERE).unwrap_err().retry_after().unwrap() > 4 * WAIT_MIN);
        Attempt { guesses: &guesses, guesser: guesser("ana", HERE) }.was_right();
        drop(check(&guesses, "ana", HERE).unwrap());
        assert!(guesses.of_late.lock().trying.is_empty());
    }

    #[tokio::test]
    async fn of_guesses_at_once_no_more_are_tried_than_one_after_another() {
        let guesses = guesses(100);
        let guess = async || match guesses.turn("ana", HERE).await {
            Ok(attempt) => {
                tokio::task::yield_now().await;
                attempt.was_wrong();
                true
            }
            Err(_) => false,
        };
        let tried = futures::future::join_all((0..50).map(|_| guess())).await;
        assert_eq!(tried.into_iter().filter(|tried| *tried).count(), 3);
    }

    #[tokio::test]
    async fn right_passwords_at_once_wait_for_each_other_only() {
        let guesses = guesses(100);
        let sign_in = async || {
            let attempt = guesses.turn("ana", HERE).await.unwrap();
            tokio::task::yield_now().await;
            attempt.was_right();
        };
        futures::future::join_all((0..50).map(|_| sign_in())).await;
        assert!(guesses.of_late.lock().trying.is_empty());
    }

    #[test]
    fn an_address_counts_for_its_network() {
        let of = |from: &str| guesser("ana", Some(from.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_wait_has_an_end_and_what_is_kept_too() {
        let guesses = guesses(10);
        for _ in 0..100 {
            wrong(&guesses, "ana");
        }
        assert!(check(&guesses, "ana", HERE).unwrap_err().retry_after().unwrap() <= Duration::from_secs(3_600));
        for number in 0..100 {
            wrong(&guesses, &format!("{number} {}", "é".repeat(200)));
        }
        assert!(guesses.of_late.lock().wrong.len() <= 10);
        check(&guesses, "ana", HERE).unwrap_err();
    }
}

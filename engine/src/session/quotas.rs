//! What one subject may ask of a node in a minute and be sent by it in a day. Counted in memory: a node that starts anew begins at
//! nothing. (The limits per day of a grant are policy's, and outlive a restart.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

const MINUTE_S: f64 = 60.0;
const DAY_S: u64 = 24 * 60 * 60;
/// Subjects who have had nothing today are forgotten when there are so many.
const SUBJECTS_KEPT: usize = 10_000;

/// What each subject may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    statements_per_minute: u64,
    rows_per_day: u64,
    bytes_per_day: u64,
}

/// The quotas of all subjects of a node.
#[derive(Debug)]
pub struct Quotas {
    allowed: Allowed,
    subjects: Mutex<HashMap<Arc<str>, Arc<Quota>>>,
}

/// The quota of one subject.
#[derive(Debug)]
pub struct Quota {
    allowed: Allowed,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    /// Statements that may begin now; it fills up again over a minute.
    statements_left: f64,
    filled: Instant,
    day: u64,
    rows: u64,
    bytes: u64,
}

impl Quotas {
    /// The quotas under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        let allowed = Allowed {
            statements_per_minute: limits.subject_statements_per_minute,
            rows_per_day: limits.subject_rows_per_day,
            bytes_per_day: limits.subject_bytes_per_day,
        };
        Self { allowed, subjects: Mutex::default() }
    }

    /// The quota of that subject.
    pub fn of(&self, subject: &Arc<str>) -> Arc<Quota> {
        let mut subjects = self.subjects.lock();
        if let Some(quota) = subjects.get(subject) {
            return Arc::clone(quota);
        }
        if subjects.len() >= SUBJECTS_KEPT {
            let today = today();
            subjects.retain(|_, quota| Arc::strong_count(quota) > 1 || quota.used.lock().day >= today);
        }
        let quota = Arc::new(Quota::new(self.allowed));
        subjects.insert(Arc::clone(subject), Arc::clone(&quota));
        quota
    }
}

impl Quota {
    fn new(allowed: Allowed) -> Self {
        let statements_left = as_f64(allowed.statements_per_minute);
        Self { allowed, used: Mutex::new(Used { statements_left, filled: Instant::now(), day: 0, rows: 0, bytes: 0 }) }
    }

    /// Counts a statement that begins.
    ///
    /// # Errors
    /// `BUSY`, with the time after which one may begin.
    pub fn begin_statement(&self) -> Result<()> {
        let most = as_f64(self.allowed.statements_per_minute);
        let mut used = self.used.lock();
        let now = Instant::now();
        let since = now.duration_since(used.filled).as_secs_f64();
        used.statements_left = (used.statements_left + since * most / MINUTE_S).min(most);
        used.filled = now;
        if used.statements_left < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - used.statements_left) * MINUTE_S / most);
            let sentence = format!(
                "you have begun {} statements within a minute, as many as may (`subject_statements_per_minute`)",
                self.allowed.statements_per_minute
            );
            return Err(EngineError::new(Code::Busy, sentence).to_retry_after(wait));
        }
        used.statements_left -= 1.0;
        Ok(())
    }

    /// Counts what is about to be sent.
    ///
    /// # Errors
    /// `CAP`: it may not, and is not counted.
    pub fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
        let mut used = self.used.lock();
        let today = today();
        // A clock that is set back gives nobody anew what they had.
        if today > used.day {
            (used.day, used.rows, used.bytes) = (today, 0, 0);
        }
        let (rows, bytes) = (used.rows.saturating_add(rows), used.bytes.saturating_add(bytes));
        for (what, sum, most, limit) in [
            ("rows", rows, self.allowed.rows_per_day, "subject_rows_per_day"),
            ("bytes", bytes, self.allowed.bytes_per_day, "subject_bytes_per_day"),
        ] {
            if sum > most {
                let sentence = format!(
                    "this node sends you at most {most} {what} in a day (`{limit}`), and this would be more; what has arrived \
                     of the answer is not whole"
                );
                return Err(EngineError::new(Code::Cap, sentence));
            }
        }
        (used.rows, used.bytes) = (rows, bytes);
        Ok(())
    }
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / DAY_S)
}

/// Of a rate nobody sees the sixteenth digit.
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(limits: Limits) -> (Quotas, Arc<str>) {
        (Quotas::new(&limits), Arc::from("ana"))
    }

    #[test]
    fn statements_are_counted_by_the_minute_and_for_each_subject() {
        let (quotas, ana) = quotas(Limits { subject_statements_per_minute: 3, ..Limits::default() });
        for _ in 0..3 {
            quotas.of(&ana).begin_statement().unwrap();
        }
        let told = quotas.of(&ana).begin_statement().unwrap_err();
        assert_eq!(told.code(), Code::Busy);
        assert!((Duration::from_secs(15)..=Duration::from_secs(20)).contains(&told.retry_after().unwrap()), "{told:?}");
        quotas.of(&Arc::from("bob")).begin_statement().unwrap();
        let quota = quotas.of(&ana);
        quota.used.lock().filled -= Duration::from_secs(25);
        quota.begin_statement().unwrap();
        quota.begin_statement().unwrap_err();
    }

    #[test]
    fn rows_and_bytes_are_counted_by_the_day() {
        let limits = Limits { subject_rows_per_day: 10, subject_bytes_per_day: 100, ..Limits::default() };
        let (quotas, ana) = quotas(limits);
        quotas.of(&ana).charge(10, 50).unwrap();
        assert_eq!(quotas.of(&ana).charge(1, 1).unwrap_err().code(), Code::Cap);
        quotas.of(&ana).charge(0, 50).unwrap();
        assert_eq!(quotas.of(&ana).charge(0, 1).unwrap_err().code(), Code::Cap);
        quotas.of(&Arc::from("bob")).charge(10, 100).unwrap();
        quotas.of(&ana).used.lock().day -= 1;
        quotas.of(&ana).charge(10, 100).unwrap();
        quotas.of(&ana).used.lock().day += 1;
        assert_eq!(quotas.of(&ana).charge(1, 1).unwrap_err().code(), Code::Cap, "the clock was set back");
    }
}

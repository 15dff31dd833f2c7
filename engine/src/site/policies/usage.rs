//! How much each subject received under each grant today: `LIMIT ROWS n BYTES m PER DAY`. A day is a day of UTC.

use std::collections::HashMap;

use parking_lot::Mutex;
use policy::decision::GrantedBy;
use policy::time::Instant;

use super::clock::day_of;
use super::store::UsageRow;
use crate::error::{Code, EngineError, Result};

/// The counters of today.
#[derive(Debug)]
pub(super) struct Usage {
    today: Mutex<Today>,
}

#[derive(Debug, Default)]
struct Today {
    day: i64,
    /// By grant and subject.
    counted: HashMap<(String, String), Counted>,
    /// Set while what was counted cannot be written down: then nothing more is given out.
    failing: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    rows: u64,
    bytes: u64,
    written: bool,
}

impl Usage {
    /// Goes on with what was written down.
    pub(super) fn new(rows: Vec<UsageRow>, now: Instant) -> Self {
        let day = day_of(now);
        let counted = rows
            .into_iter()
            .filter(|row| row.day == day)
            .map(|row| ((row.grant, row.subject), Counted { rows: row.rows, bytes: row.bytes, written: true }))
            .collect();
        Self { today: Mutex::new(Today { day, counted, failing: false }) }
    }

    /// Counts rows and bytes that are about to leave by these grants, by all of them or by none: what would go beyond a
    /// limit of one must not leave, and uses up none.
    pub(super) fn charge(&self, now: Instant, grants: &[GrantedBy], subject: &str, moved: (u64, u64)) -> Result<()> {
        let limited = |grant: &&GrantedBy| grant.rows_per_day.is_some() || grant.bytes_per_day.is_some();
        let limited: Vec<&GrantedBy> = grants.iter().filter(limited).collect();
        if limited.is_empty() {
            return Ok(());
        }
        let mut today = self.today.lock();
        today.turn_to(day_of(now));
        if today.failing {
            return Err(EngineError::new(
                Code::Cap,
                "the use of this grant is limited and cannot be counted at present: the site cannot write its state",
            ));
        }
        let mut charged = Vec::with_capacity(limited.len());
        for grant in limited {
            let key = (grant.id.clone(), subject.to_string());
            let counted = today.counted.get(&key).copied().unwrap_or_default().with(moved, grant)?;
            charged.push((key, counted));
        }
        today.counted.extend(charged);
        Ok(())
    }

    /// Whether there is anything to write down, or the last try failed.
    pub(super) fn is_pending(&self) -> bool {
        let today = self.today.lock();
        today.failing || today.counted.values().any(|counted| !counted.written)
    }

    /// What has not been written down yet, taken to be written from now on.
    pub(super) fn unwritten(&self) -> Vec<UsageRow> {
        let mut today = self.today.lock();
        let day = today.day;
        let unwritten = today.counted.iter_mut().filter(|(_, counted)| !counted.written);
        unwritten
            .map(|((grant, subject), counted)| {
                counted.written = true;
                let Counted { rows, bytes, .. } = *counted;
                UsageRow { grant: grant.clone(), subject: subject.clone(), day, rows, bytes }
            })
            .collect()
    }

    /// The rows of [`Usage::unwritten`] are on the disk.
    pub(super) fn succeeded(&self) {
        self.today.lock().failing = false;
    }

    /// They are not: they are unwritten again, and nothing that is limited is given out until a later try succeeds.
    pub(super) fn failed(&self, rows: Vec<UsageRow>) {
        let mut today = self.today.lock();
        today.failing = true;
        for row in rows {
            if let Some(counted) = today.counted.get_mut(&(row.grant, row.subject)) {
                counted.written = false;
            }
        }
    }
}

impl Counted {
    /// This and what is about to leave.
    fn with(self, (rows, bytes): (u64, u64), grant: &GrantedBy) -> Result<Self> {
        let (rows, bytes) = (self.rows.saturating_add(rows), self.bytes.saturating_add(bytes));
        if grant.rows_per_day.is_some_and(|most| rows > most) {
            return Err(beyond("rows"));
        }
        if grant.bytes_per_day.is_some_and(|most| bytes > most) {
            return Err(beyond("bytes"));
        }
        Ok(Self { rows, bytes, written: false })
    }
}

impl Today {
    /// A new day begins with nothing used.
    fn turn_to(&mut self, day: i64) {
        if day > self.day {
            self.day = day;
            self.counted.clear();
        }
    }
}

fn beyond(what: &str) -> EngineError {
    EngineError::new(
        Code::Cap,
        format!(
            "the grant that this query rests on is used up for today: its limit of {what} per day (UTC) is reached"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1_000_000;

    fn grant(rows: Option<u64>, bytes: Option<u64>) -> GrantedBy {
        GrantedBy { id: "g-0001".into(), until: None, rows_per_day: rows, bytes_per_day: bytes }
    }

    fn is_cap(result: Result<()>) -> bool {
        result.is_err_and(|error| error.code() == Code::Cap)
    }

    #[test]
    fn a_limit_is_reached_and_never_passed() {
        let usage = Usage::new(Vec::new(), Instant(0));
        let limited = [grant(Some(10), None)];
        usage.charge(Instant(0), &limited, "desk", (7, 1 << 40)).unwrap();
        assert!(is_cap(usage.charge(Instant(0), &limited, "desk", (4, 0))));
        usage.charge(Instant(0), &limited, "desk", (3, 0)).unwrap();
        assert!(is_cap(usage.charge(Instant(0), &limited, "desk", (1, 0))));
        usage.charge(Instant(0), &limited, "analyst", (10, 0)).unwrap();
        usage.charge(Instant(0), &[grant(None, None)], "desk", (u64::MAX, u64::MAX)).unwrap();
        assert!(is_cap(usage.charge(Instant(0), &[grant(None, Some(8))], "clerk", (0, 9))));
        assert!(is_cap(usage.charge(Instant(0), &[grant(None, Some(8))], "clerk", (0, u64::MAX))));
    }

    #[test]
    fn what_one_of_two_grants_does_not_allow_uses_up_neither() {
        let usage = Usage::new(Vec::new(), Instant(0));
        let wide = GrantedBy { id: "g-0002".into(), ..grant(Some(10), None) };
        let narrow = grant(Some(5), None);
        let both = [wide.clone(), narrow.clone()];
        usage.charge(Instant(0), &both, "desk", (4, 0)).unwrap();
        assert!(is_cap(usage.charge(Instant(0), &both, "desk", (4, 0))));
        usage.charge(Instant(0), &[wide], "desk", (6, 0)).unwrap();
        usage.charge(Instant(0), &[narrow], "desk", (1, 0)).unwrap();
    }

    #[test]
    fn midnight_begins_anew() {
        let usage = Usage::new(Vec::new(), Instant(DAY - 1));
        let limited = [grant(Some(1), None)];
        usage.charge(Instant(DAY - 1), &limited, "desk", (1, 0)).unwrap();
        assert!(is_cap(usage.charge(Instant(DAY - 1), &limited, "desk", (1, 0))));
        usage.charge(Instant(DAY), &limited, "desk", (1, 0)).unwrap();
        assert_eq!(usage.unwritten().iter().map(|row| (row.day, row.rows)).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn what_cannot_be_written_is_not_given_out() {
        let usage = Usage::new(Vec::new(), Instant(0));
        let limited = [grant(Some(10), None)];
        usage.charge(Instant(0), &limited, "desk", (1, 0)).unwrap();
        usage.failed(usage.unwritten());
        assert!(is_cap(usage.charge(Instant(0), &limited, "desk", (1, 0))));
        usage.charge(Instant(0), &[grant(None, None)], "desk", (1, 0)).unwrap();
        assert_eq!(usage.unwritten().len(), 1, "it is tried again");
        usage.succeeded();
        usage.charge(Instant(0), &limited, "desk", (9, 0)).unwrap();
    }
}

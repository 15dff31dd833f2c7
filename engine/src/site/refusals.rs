//! The record of what was not let in. Of calls that nobody is believed for only so many a minute are written down, and the
//! rest counted, so that a flood of them does not fill the disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::evidence::recorded;
use super::{Control, Site};
use crate::audit::entry::{Asker as RecordedAsker, Entry, Refusal};
use crate::error::{Code, EngineError};
use crate::flight::door::Refused;
use crate::session::complexity::Budget;
use crate::session::statement::parse;

const MINUTE: Duration = Duration::from_secs(60);

/// How many refusals of strangers were recorded in this minute.
#[derive(Debug)]
pub(super) struct Strangers {
    per_minute: u64,
    minute: Mutex<Minute>,
}

#[derive(Debug)]
struct Minute {
    since: Instant,
    recorded: u64,
    only_counted: u64,
}

impl Strangers {
    pub(super) fn new(per_minute: u64) -> Self {
        Self { per_minute, minute: Mutex::new(Minute { since: Instant::now(), recorded: 0, only_counted: 0 }) }
    }

    /// How many were only counted since the last one that was recorded; `None` for one that is to be counted too.
    fn admit(&self) -> Option<u64> {
        let mut minute = self.minute.lock();
        if minute.since.elapsed() >= MINUTE {
            minute.since = Instant::now();
            minute.recorded = 0;
        }
        if minute.recorded >= self.per_minute {
            minute.only_counted += 1;
            return None;
        }
        minute.recorded += 1;
        Some(std::mem::take(&mut minute.only_counted))
    }
}

impl Site {
    /// Records a refusal, and gives its error back; when it cannot be recorded, the error is that.
    pub(super) async fn record_refusal(&self, refused: Refused<'_>, error: EngineError) -> EngineError {
        let Some(control) = &self.control else { return error };
        if error.code() == Code::Audit {
            return error;
        }
        let Some(refusal) = self.refusal(control, refused, &error) else { return error };
        match control.audit.append(Entry::Refusal(refusal)).await {
            Ok(_) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    /// What is recorded; `None` for a stranger's that is only counted.
    fn refusal(&self, control: &Control, refused: Refused<'_>, error: &EngineError) -> Option<Refusal> {
        let asker = refused.asker.map_or_else(RecordedAsker::default, recorded);
        let is_stranger = asker.subject.is_none();
        let only_counted = if is_stranger { control.strangers.admit()? } else { 0 };
        // Of a text that is no SQL nobody can say what of it is a literal; a stranger's is not even parsed.
        let is_sql = !is_stranger
            && match error.code() {
                Code::Syntax | Code::Complexity => false,
                Code::Statement => true,
                _ => parse(refused.statement, &Budget::of(&self.limits)).is_ok(),
            };
        Some(Refusal {
            query: refused.query.to_string(),
            fragment: refused.fragment,
            statement: match refused.statement {
                "" => String::new(),
                text if is_sql => control.audit.template(text),
                text => control.audit.digest(text),
            },
            code: error.code().name().to_string(),
            only_counted,
            asker,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_first_are_recorded_and_the_rest_counted() {
        let strangers = Strangers::new(2);
        assert_eq!(
            [strangers.admit(), strangers.admit(), strangers.admit(), strangers.admit()],
            [Some(0), Some(0), None, None]
        );
        strangers.minute.lock().since -= MINUTE;
        assert_eq!([strangers.admit(), strangers.admit(), strangers.admit()], [Some(2), Some(0), None]);
    }
}

//! The beginning of a statement, up to its first batch: what it is let in by or refused for is on record then, whoever waits.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::SendableRecordBatchStream;
use tonic::metadata::MetadataMap;
use tracing::Span;

use super::FlightServer;
use super::statements::question;
use crate::config::Limits;
use crate::error::{EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::door::{Door, Question, Refused};
use crate::flight::handle::Handle;
use crate::key_set::KeySet;
use crate::key_set::message::KeySetMessage;
use crate::session::queries::{Admitted, QueryId, QueryRecord, RunningQuery, Stop};
use crate::session::threads;
use crate::session::turns::{Kind, Turn};

impl FlightServer {
    /// Begins a statement: its record, and its rows as they come. It comes to a record of it whether or not its asker waits
    /// for that: whoever leaves before its first batch has cancelled it.
    pub(super) async fn start(
        &self,
        (caller, headers): (&Caller, &MetadataMap),
        handle: &Handle,
        key_sets: Vec<KeySetMessage>,
        id: &QueryId,
    ) -> Result<(RunningQuery, SendableRecordBatchStream)> {
        let (asker, fragment) = (Some(caller.asker.as_ref()), caller.fragment(headers));
        let refused = Refused { asker, query: id, fragment, statement: &handle.sql };
        let kind = if fragment > 0 { Kind::Fragment } else { Kind::Asked };
        let begun = async {
            let turn = self.turns.take(&caller.asker.label(), kind).await?;
            let (turn, key_sets) = read(key_sets, &self.limits, turn).await?;
            let (running, asked) = self.begin((caller, headers), handle, key_sets, id)?;
            Ok::<_, EngineError>((running.in_turn(turn), asked))
        };
        let (running, question) = match begun.await {
            Ok(begun) => begun,
            Err(error) => return Err(self.refuse(refused, error).await),
        };
        let waiting = Waiting(Some(Arc::clone(running.record())));
        let started = threads::run_to_the_end(execute_or_refuse(Arc::clone(&self.door), running, question)).await;
        waiting.has_waited();
        started
    }

    fn begin(
        &self,
        (caller, headers): (&Caller, &MetadataMap),
        handle: &Handle,
        key_sets: Vec<KeySet>,
        id: &QueryId,
    ) -> Result<(RunningQuery, Question)> {
        let mut question = question(handle)?;
        question.versions = caller.versions(headers)?;
        question.fragment = caller.fragment(headers);
        question.keys_to = caller.keys_to(headers)?;
        question.key_sets = key_sets;
        let admitted = Admitted { handle: Some(&handle.id), timeout: self.statement_timeout(caller, headers) };
        let running = self.door.queries().begin(id.clone(), &caller.asker, &handle.sql, admitted)?;
        running.record().belong_to(caller.trace, Span::current());
        if let Some(standing) = self.access.standing(caller) {
            running.record().rest_on(standing);
        }
        Ok((running, question))
    }

    /// The shortest of the node's own limit, the session's, and what the call says in `grpc-timeout`.
    fn statement_timeout(&self, caller: &Caller, headers: &MetadataMap) -> Duration {
        let own = Duration::from_millis(self.limits.statement_timeout_ms);
        let asked = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
        [caller.statement_timeout, asked].into_iter().flatten().fold(own, Duration::min)
    }
}

/// The sets of messages, read on the query threads: some millions of keys take their time. The turn is taken until they are
/// read, whether or not somebody waits.
async fn read(messages: Vec<KeySetMessage>, limits: &Arc<Limits>, turn: Arc<Turn>) -> Result<(Arc<Turn>, Vec<KeySet>)> {
    if messages.is_empty() {
        return Ok((turn, Vec::new()));
    }
    let limits = Arc::clone(limits);
    threads::run(async move {
        let sets = messages.into_iter().map(|set| set.read(&limits)).collect::<Result<_>>()?;
        Ok((turn, sets))
    })
    .await
}

/// Whoever waits for the beginning of an answer. Dropped before that, they have left.
struct Waiting(Option<Arc<QueryRecord>>);

impl Waiting {
    fn has_waited(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(record) = &self.0 {
            record.stop(Stop::Cancelled);
        }
    }
}

async fn execute_or_refuse(
    door: Arc<dyn Door>,
    running: RunningQuery,
    question: Question,
) -> Result<(RunningQuery, SendableRecordBatchStream)> {
    let (record, fragment) = (Arc::clone(running.record()), question.fragment);
    match execute_within(Arc::clone(&door), &running, question).await {
        Ok(batches) => Ok((running, batches)),
        Err(error) => {
            // What has a warrant has an intent, and is completed when it ends.
            let never_let_in = record.refuse_warrant();
            let (asker, statement) = (Some(record.asker.as_ref()), record.statement.as_ref());
            let refused = Refused { asker, query: &record.id, fragment, statement };
            let error = if never_let_in { door.refuse(refused, error).await } else { error };
            running.failed(error.code());
            Err(error)
        }
    }
}

/// The rows of a statement, unless it must stop before. A change that has begun is not stopped, and its asker is told both.
async fn execute_within(
    door: Arc<dyn Door>,
    running: &RunningQuery,
    question: Question,
) -> Result<SendableRecordBatchStream> {
    let record = running.record();
    if let Some(batches) = door.pass_on(record, &question, running.turn())? {
        return Ok(batches);
    }
    let (planned, turn) = (Arc::clone(record), running.turn());
    let mut planning = std::pin::pin!(threads::run_for(Some(Arc::clone(record)), async move {
        let batches = door.execute(Arc::clone(&planned), question).await?;
        threads::stream(batches, planned, turn)
    }));
    tokio::select! {
        result = &mut planning => result,
        reason = record.stopped() => {
            if record.cut_off() {
                return Err(reason);
            }
            planning.await?;
            let sentence = format!("{}; the change that it made before is in force", reason.sentence());
            Err(EngineError::new(reason.code(), sentence))
        }
    }
}

/// The duration of a `grpc-timeout` header (gRPC over HTTP/2: up to eight digits and a unit letter).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value * 3600),
        'M' => Duration::from_secs(value * 60),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        assert_eq!(grpc_timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(grpc_timeout("S"), None);
        assert_eq!(grpc_timeout("123456789S"), None);
        assert_eq!(grpc_timeout("5é"), None);
    }
}

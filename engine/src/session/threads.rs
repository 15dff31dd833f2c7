//! The threads on which statements are planned and run: not those that answer calls, so that a join which never yields
//! leaves the node reachable, its health told and other statements answered.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use connectors::waiting::let_this_thread_wait;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, Span};

use crate::error::{Code, EngineError, Result};
use crate::exec::value_bytes::bytes_of_batch;
use crate::session::queries::QueryRecord;
use crate::session::turns::Turn;
use crate::session::watchdog;

/// Threads for each core: some may be held by operators that do not yield, the rest go on.
const THREADS_PER_CORE: usize = 8;
/// Deep plans recurse.
const STACK_BYTES: usize = 16 << 20;
/// Batches that are ready before anybody asks for them.
const BATCHES_AHEAD: usize = 2;

/// The process's query threads, started when first needed; they live as long as the process.
fn threads() -> Result<&'static Handle> {
    static THREADS: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let started = THREADS.get_or_init(|| {
        watchdog::begin();
        Builder::new_multi_thread()
            .worker_threads(count())
            .thread_name("query")
            .on_thread_start(|| {
                watchdog::runs_statements();
                let_this_thread_wait();
            })
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
    });
    match started {
        Ok(runtime) => Ok(runtime.handle()),
        Err(error) => Err(EngineError::defect(format!("no threads for queries: {error}"))),
    }
}

/// How many there are.
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) * THREADS_PER_CORE
}

/// Runs `work` on the query threads.
///
/// # Errors
/// Those of `work`; `INTERNAL` when it panicked.
///
/// # Cancellation
/// Dropping the future ends the work where it next yields.
pub async fn run<T, W>(work: W) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    run_for(None, work).await
}

/// The same, for that statement: what cannot yield asks whether it is to go on.
///
/// # Errors
/// As [`run`].
///
/// # Cancellation
/// As [`run`].
pub async fn run_for<T, W>(record: Option<Arc<QueryRecord>>, work: W) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    tasks.spawn_on(watchdog::watched(Span::current(), record, work.in_current_span()), threads()?);
    joined(tasks.join_next().await)
}

/// Runs `work` to its end on the threads that answer calls, whether or not somebody waits for it. What it must not do for
/// nobody it has to be told.
///
/// # Errors
/// Those of `work`; `INTERNAL` when it panicked.
pub async fn run_to_the_end<T, W>(work: W) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    struct Unattended<T: 'static>(JoinSet<Result<T>>);
    impl<T> Drop for Unattended<T> {
        fn drop(&mut self) {
            self.0.detach_all();
        }
    }
    let mut tasks = Unattended(JoinSet::new());
    tasks.0.spawn(work.in_current_span());
    joined(tasks.0.join_next().await)
}

/// The same batches, made on the query threads, at most a few ahead of who reads them. The work ends when the query is
/// cancelled or its time is over, whether anybody reads or not; `turn` ends with it.
///
/// # Errors
/// When the query threads cannot be started; later ones are the stream's.
///
/// # Cancellation
/// Dropping the stream ends the work where it next yields.
pub fn stream(
    mut batches: SendableRecordBatchStream,
    record: Arc<QueryRecord>,
    turn: Option<Arc<Turn>>,
) -> Result<SendableRecordBatchStream> {
    let schema = batches.schema();
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let (span, of) = (record.span(), Arc::clone(&record));
    let work = async move {
        let making = async {
            while let Some(batch) = batches.next().await {
                record.hands_on(batch.as_ref().map_or(0, bytes_of_batch));
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        };
        let stopped = tokio::select! {
            () = making => None,
            reason = record.stopped() => Some(reason),
        };
        drop(batches);
        drop(turn);
        if let Some(reason) = stopped {
            // Whoever comes to read finds the reason; nobody may come.
            let _ = sender.send(Err(reason.into())).await;
        }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn_on(watchdog::watched(span.clone(), Some(of), work.instrument(span)), threads()?);
    let read = stream::unfold((receiver, tasks), |(mut receiver, mut tasks)| async move {
        if let Some(batch) = receiver.recv().await {
            return Some((batch, (receiver, tasks)));
        }
        // The end of the channel is the end of the answer only if the task came to its own end.
        match tasks.join_next().await {
            Some(Err(error)) => Some((Err(DataFusionError::from(stopped(error))), (receiver, tasks))),
            Some(Ok(())) | None => None,
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, read)))
}

fn joined<T>(task: Option<std::result::Result<Result<T>, JoinError>>) -> Result<T> {
    match task {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(stopped(error)),
        None => Err(EngineError::defect("a task that was spawned is not there")),
    }
}

fn stopped(error: JoinError) -> EngineError {
    if error.is_cancelled() {
        EngineError::new(Code::Cancelled, "the query was cancelled")
    } else {
        EngineError::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::datatypes::Schema;

    use super::*;
    use crate::identity::Asker;
    use crate::session::queries::{Admitted, Queries, QueryId};

    #[tokio::test]
    async fn what_runs_to_the_end_outlives_who_waits_for_it() {
        let (go_on, told) = tokio::sync::oneshot::channel::<()>();
        let (done, ended) = tokio::sync::oneshot::channel();
        let mut waiting = Box::pin(run_to_the_end(async move {
            told.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        }));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
        assert_eq!(run_to_the_end(async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_no_short_answer() {
        let schema = Arc::new(Schema::empty());
        let panics = stream::once(async { panic!("a defect") });
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let running =
            Queries::new(1, 1).begin(QueryId::random(), &Arc::new(Asker::peer("ann")), "SELECT 1", admitted).unwrap();
        let batches = Box::pin(RecordBatchStreamAdapter::new(schema, panics));
        let mut read = super::stream(batches, Arc::clone(running.record()), None).unwrap();
        let error = EngineError::of_running(read.next().await.unwrap().unwrap_err());
        assert_eq!(error.code(), Code::Internal);
        assert!(read.next().await.is_none());
        assert_eq!(run::<(), _>(async { panic!("a defect") }).await.unwrap_err().code(), Code::Internal);
    }
}

//! The rows of a query as they come, and the plan made once more where a site's tables have moved on.

use std::sync::Arc;

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Core, Run};
use crate::catalog::site_table::SiteId;
use crate::error::{Code, EngineError, Result};
use crate::flight::door::Question;
use crate::session::declared::declare;
use crate::session::queries::QueryRecord;
use crate::session::threads;
use crate::session::turns::Turn;

impl Run {
    pub(super) fn start(&self) -> Result<SendableRecordBatchStream> {
        Ok(execute_stream(Arc::clone(&self.planned.physical), Arc::clone(&self.context))?)
    }
}

/// The rows of a query. When a site says, before the first row, that its view has moved on, the sites are asked anew
/// and the statement is planned once more.
pub(super) fn answer(
    core: Arc<Core>,
    record: Arc<QueryRecord>,
    question: Question,
    run: Run,
    again: Again,
) -> SendableRecordBatchStream {
    let declared = Arc::clone(&run.declared);
    let batches = stream::once(async move {
        let mut batches = run.start()?;
        let first = batches.next().await;
        match first {
            Some(Err(error)) => {
                let error = EngineError::of_running(error);
                if !has_moved_on(&error) {
                    return Err(error);
                }
                drop(batches);
                again.run(core, record, question, run).await
            }
            first => Ok(declare(
                batches.schema(),
                Box::pin(RecordBatchStreamAdapter::new(batches.schema(), stream::iter(first).chain(batches))),
            )),
        }
    })
    .map_err(datafusion::error::DataFusionError::from)
    .try_flatten();
    Box::pin(RecordBatchStreamAdapter::new(declared, batches))
}

/// Where a statement is planned once more.
pub(super) enum Again {
    /// Where it is read.
    Here,
    /// On the query threads: those who pass on do not plan. In the statement's turn.
    OnQueryThreads(Option<Arc<Turn>>),
}

impl Again {
    async fn run(
        self,
        core: Arc<Core>,
        record: Arc<QueryRecord>,
        question: Question,
        stale: Run,
    ) -> Result<SendableRecordBatchStream> {
        let Self::OnQueryThreads(turn) = self else {
            return plan_again(&core, &record, &question, &stale).await?.start();
        };
        let (asked, planning) = (Arc::clone(&record), turn.clone());
        let planned = async move {
            let started = plan_again(&core, &asked, &question, &stale).await?.start();
            drop(planning);
            started
        };
        threads::stream(threads::run_for(Some(Arc::clone(&record)), planned).await?, record, turn)
    }
}

/// Whether a site knows a table otherwise than its view told, or no longer: planning again finds an answer or tells what
/// everybody is told of a table that is not there.
pub(super) fn has_moved_on(error: &EngineError) -> bool {
    matches!(error.code(), Code::Stale | Code::NotFound)
}

pub(super) async fn plan_again(
    core: &Core,
    record: &Arc<QueryRecord>,
    question: &Question,
    stale: &Run,
) -> Result<Run> {
    let sites: Vec<SiteId> = stale.planned.cut.fragments.iter().map(|fragment| fragment.site.clone()).collect();
    core.snapshots.refresh(&record.asker, sites).await?;
    let asked = core.parse(&record.asker, question).await?;
    let run = core.plan(record, &asked).await?;
    let told = |run: &Run| -> Vec<_> {
        let fields = run.declared.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable())).collect()
    };
    if told(&run) == told(stale) {
        return Ok(run);
    }
    Err(EngineError::new(
        Code::Stale,
        "a table that the statement reads has other columns now; ask it again, or prepare it again",
    ))
}

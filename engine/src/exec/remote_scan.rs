//! The coordinator's leaf: a statement that one site answers. Pure data; what it needs to run comes with the task.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use crate::catalog::site_table::SiteId;
use crate::error::EngineError;
use crate::peer::{FragmentRequest, Peers};
use crate::session::queries::QueryRecord;

/// What one site is to do.
#[derive(Debug)]
pub struct Fragment {
    /// The site.
    pub site: SiteId,
    /// The statement, proven equal to the planned subtree.
    pub statement: Arc<str>,
    /// The columns of the answer, by position.
    pub schema: SchemaRef,
    /// The versions of the tables it reads, by `source.table`.
    pub versions: Arc<BTreeMap<String, String>>,
    /// What is expected of the answer; never exact.
    pub statistics: Arc<Statistics>,
}

/// What remote scans of one query need to run; an extension of the query's session.
#[derive(Debug)]
pub struct RemoteAccess {
    /// The federation's sites.
    pub peers: Arc<Peers>,
    /// The query, whose ledger the scans write.
    pub record: Arc<QueryRecord>,
}

/// Runs a [`Fragment`] at its site. One partition: a site's answer is one ordered stream.
#[derive(Debug)]
pub struct RemoteScanExec {
    fragment: Arc<Fragment>,
    properties: Arc<PlanProperties>,
}

impl RemoteScanExec {
    /// The scan of a fragment.
    pub fn new(fragment: Arc<Fragment>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&fragment.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { fragment, properties: Arc::new(properties) }
    }

    /// What is asked of whom.
    pub fn fragment(&self) -> &Arc<Fragment> {
        &self.fragment
    }
}

impl DisplayAs for RemoteScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<&str> = self.fragment.versions.keys().map(String::as_str).collect();
        write!(f, "RemoteScanExec: site={}, tables=[{}]", self.fragment.site, tables.join(", "))
    }
}

impl ExecutionPlan for RemoteScanExec {
    fn name(&self) -> &'static str {
        "RemoteScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// The statement is sent when the stream is first polled, not here: a scan that nobody reads asks nothing.
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(EngineError::defect(format!("a remote scan has no partition {partition}")).into());
        }
        let access = context
            .session_config()
            .get_extension::<RemoteAccess>()
            .ok_or_else(|| EngineError::defect("a remote scan was executed outside a coordinator's query"))?;
        let fragment = Arc::clone(&self.fragment);
        let schema = Arc::clone(&fragment.schema);
        let batches = stream::once(async move { send(&access, &fragment).await }).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        Ok(Arc::clone(&self.fragment.statistics))
    }
}

async fn send(access: &RemoteAccess, fragment: &Fragment) -> Result<SendableRecordBatchStream, DataFusionError> {
    let peer = access.peers.get(&fragment.site).ok_or_else(|| {
        EngineError::defect(format!("a fragment for site {}, which is not configured", fragment.site))
    })?;
    let record = &access.record;
    let left = record.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(record.out_of_time().into());
    }
    let entry = record.open_entry(fragment.site.clone(), Arc::clone(&fragment.statement));
    let request = FragmentRequest {
        query: record.id.clone(),
        number: entry.number,
        asker: Arc::clone(&record.asker),
        statement: Arc::clone(&fragment.statement),
        versions: Arc::clone(&fragment.versions),
        schema: Arc::clone(&fragment.schema),
        timeout: Some(left),
    };
    peer.run(request, Arc::clone(&entry)).await.map_err(|error| {
        entry.end(crate::session::queries::Progress::Failed(error.code()));
        error.into()
    })
}

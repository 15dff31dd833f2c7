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
use datafusion::execution::context::SessionConfig;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use crate::catalog::site_table::SiteId;
use crate::config::Limits;
use crate::error::EngineError;
use crate::exec::key_source::{Bounds, KeySource};
use crate::key_set::message::KeySetMessage;
use crate::key_set::{KeySet, KeysTo};
use crate::peer::{FragmentRequest, Peers};
use crate::session::queries::QueryRecord;

/// What one site is to do.
#[derive(Debug)]
pub struct Fragment {
    /// The site.
    pub site: SiteId,
    /// The statement, proven equal to the planned subtree.
    pub statement: Arc<str>,
    /// What may reduce it.
    pub reduction: Reduction,
    /// What becomes of its rows beside the answer.
    pub keys_to: Vec<KeysTo>,
    /// The columns of the answer, by position.
    pub schema: SchemaRef,
    /// The versions of the tables it reads, by `source.table`.
    pub versions: Arc<BTreeMap<String, String>>,
    /// What is expected of the answer; never exact.
    pub statistics: Arc<Statistics>,
}

/// The key sets that may be bound beside a fragment's statement, and the statement for each choice of them.
#[derive(Debug, Default)]
pub struct Reduction {
    /// The sets; the first is number 1 in the statements.
    pub key_sets: Vec<KeySetUse>,
    /// By the bits of the sets that are sent, the first set the lowest: at 0 the statement without any. All are proven.
    pub statements: Vec<Arc<str>>,
}

/// A key set that may be sent with a fragment.
#[derive(Debug, Clone)]
pub struct KeySetUse {
    /// The rows that it is made of.
    pub source: Arc<KeySource>,
    /// The column of these rows.
    pub column: usize,
    /// Where the values come from, `site.source.table.column` or a column of a site's fragment.
    pub name: String,
    /// The least number of keys that may go: the rule of whose they are.
    pub keys_min: u64,
    /// What it saves.
    pub saving: Saving,
}

/// What a key set is expected to save.
#[derive(Debug, Clone, Copy)]
pub struct Saving {
    /// Bytes that the fragment sends without it.
    pub bytes: f64,
    /// The different keys among these rows.
    pub keys: f64,
}

impl Saving {
    /// The part of the rows that does not come when so many keys go.
    pub fn part_of(self, keys: f64) -> f64 {
        (1.0 - keys / self.keys.max(1.0)).max(0.0)
    }
}

/// What remote scans of one query need to run; an extension of the query's session.
#[derive(Debug)]
pub struct RemoteAccess {
    /// The federation's sites.
    pub peers: Arc<Peers>,
    /// The query, whose ledger the scans write.
    pub record: Arc<QueryRecord>,
    /// What is held and sent of key sets.
    pub limits: Arc<Limits>,
}

impl RemoteAccess {
    /// That of the query that a session is for.
    ///
    /// # Errors
    /// Outside a coordinator's query: a defect.
    pub fn of(config: &SessionConfig) -> Result<Arc<Self>, EngineError> {
        let defect = || EngineError::defect("a remote scan was executed outside a coordinator's query");
        config.get_extension::<Self>().ok_or_else(defect)
    }

    /// How much of a key source is held.
    pub fn bounds(&self) -> Bounds {
        Bounds { bytes_max: self.limits.key_source_bytes_max, keys_max: self.limits.key_set_keys_max }
    }
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
        write!(f, "RemoteScanExec: site={}, tables=[{}]", self.fragment.site, tables.join(", "))?;
        for (index, set) in self.fragment.reduction.key_sets.iter().enumerate() {
            write!(f, ", key set {}: {}", index + 1, set.name)?;
        }
        Ok(())
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
        let access = RemoteAccess::of(context.session_config())?;
        let fragment = Arc::clone(&self.fragment);
        let schema = Arc::clone(&fragment.schema);
        let batches = stream::once(async move { send(&access, &fragment, &context).await }).try_flatten();
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

async fn send(
    access: &RemoteAccess,
    fragment: &Fragment,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let peer = access.peers.get(&fragment.site).ok_or_else(|| {
        EngineError::defect(format!("a fragment for site {}, which is not configured", fragment.site))
    })?;
    let record = &access.record;
    let (statement, key_sets) = reduce(access, fragment, context).await?;
    let left = record.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(record.out_of_time().into());
    }
    let entry = record.open_entry(fragment.site.clone(), Arc::clone(&statement), told(&key_sets));
    let request = FragmentRequest {
        query: record.id.clone(),
        number: entry.number,
        asker: Arc::clone(&record.asker),
        statement,
        key_sets,
        keys_to: fragment.keys_to.clone(),
        versions: Arc::clone(&fragment.versions),
        schema: Arc::clone(&fragment.schema),
        trace: entry.trace,
        timeout: Some(left),
    };
    peer.run(request, Arc::clone(&entry)).await.map_err(|error| {
        entry.end(crate::session::queries::Progress::Failed(error.code()));
        error.into()
    })
}

/// The statement, and the key sets that go with it: those that are complete, large enough for the rule of whose they are, and
/// smaller than what they save.
async fn reduce(
    access: &RemoteAccess,
    fragment: &Fragment,
    context: &Arc<TaskContext>,
) -> Result<(Arc<str>, Vec<KeySetMessage>), DataFusionError> {
    let (mut chosen, mut messages) = (0_usize, Vec::new());
    for (index, set) in fragment.reduction.key_sets.iter().enumerate() {
        let Some(values) = set.source.keys(set.column, access.bounds(), context).await? else { continue };
        if (values.len() as u64) < set.keys_min {
            continue;
        }
        let saved = set.saving.bytes * set.saving.part_of(values.len() as f64);
        let id = u32::try_from(index + 1).map_err(EngineError::internal)?;
        let message = KeySetMessage::of(&KeySet::new(id, set.name.as_str(), values))?;
        if !message.is_within(&access.limits) || message.payload_bytes() as f64 > saved {
            continue;
        }
        chosen |= 1 << index;
        messages.push(message);
    }
    let reduced = fragment.reduction.statements.get(chosen);
    Ok((Arc::clone(reduced.unwrap_or(&fragment.statement)), messages))
}

/// What the ledger tells of the key sets: their numbers and sizes, and no value.
fn told(key_sets: &[KeySetMessage]) -> Option<String> {
    let told = key_sets
        .iter()
        .map(|set| format!("key set {} ({} keys of {}, {} bytes)", set.id, set.count, set.column, set.payload_bytes()));
    Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

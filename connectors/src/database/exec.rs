//! The operator that reads statements of a database: one a partition, all at one moment.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics};
use datafusion_execution::TaskContext;
use datafusion_physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion_physical_plan::statistics::StatisticsArgs;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;

use super::{Database, Reading};
use crate::connector::TableDescription;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;
use crate::statement::Statement;

/// Reads one statement a partition. The texts compute columns of exactly the schema's types, by position.
#[derive(Debug)]
pub(crate) struct StatementScan {
    database: Arc<dyn Database>,
    texts: Vec<Arc<str>>,
    schema: SchemaRef,
    /// What is read, as errors name it.
    location: Arc<str>,
    tables: Arc<[Arc<TableDescription>]>,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// The moment of an execution that no [`ReadScope`] came with.
    own_scope: Mutex<Weak<ReadScope>>,
}

impl StatementScan {
    /// Reads parts of a table, of which each statement gives one.
    pub(crate) fn of_table(
        database: Arc<dyn Database>,
        statements: Vec<Statement>,
        table: &Arc<TableDescription>,
    ) -> Self {
        let location = format!("table `{}`", table.name);
        Self::new(database, statements, location, [Arc::clone(table)].into())
    }

    /// Reads the answer to one statement, which may be a whole subtree of a plan.
    pub(crate) fn of_statement(
        database: Arc<dyn Database>,
        statement: Statement,
        tables: Vec<Arc<TableDescription>>,
    ) -> Self {
        let location = database.shown();
        Self::new(database, vec![statement], location, tables.into())
    }

    /// The same, with what is expected of its rows.
    #[must_use]
    pub(crate) fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = Arc::new(statistics);
        self
    }

    fn new(
        database: Arc<dyn Database>,
        statements: Vec<Statement>,
        location: String,
        tables: Arc<[Arc<TableDescription>]>,
    ) -> Self {
        let schema = statements.first().map_or_else(|| Arc::new(Schema::empty()), |first| Arc::clone(&first.schema));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(statements.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            database,
            texts: statements.into_iter().map(|statement| Arc::from(statement.text)).collect(),
            statistics: Arc::new(Statistics::new_unknown(&schema)),
            schema,
            location: location.into(),
            tables,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            own_scope: Mutex::default(),
        }
    }

    /// Where the moment is kept: with the statement's other scans, or among the partitions of this one.
    fn scope(&self, context: &TaskContext) -> Option<Arc<ReadScope>> {
        if let Some(scope) = context.session_config().get_extension::<ReadScope>() {
            return Some(scope);
        }
        (self.texts.len() > 1).then(|| self.own_scope())
    }

    fn own_scope(&self) -> Arc<ReadScope> {
        let mut own = self.own_scope.lock().unwrap_or_else(PoisonError::into_inner);
        own.upgrade().unwrap_or_else(|| {
            let scope = Arc::new(ReadScope::default());
            *own = Arc::downgrade(&scope);
            scope
        })
    }
}

impl DisplayAs for StatementScan {
    fn fmt_as(&self, _format: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.texts.first().map_or("", AsRef::as_ref);
        write!(out, "{}: partitions={}, statement={first}", self.name(), self.texts.len())
    }
}

impl ExecutionPlan for StatementScan {
    fn name(&self) -> &'static str {
        self.database.scan_name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let text = self.texts.get(partition).ok_or_else(|| ConnectorError::Unsupported {
            feature: format!("partition {partition} of {}", self.texts.len()),
            advice: "read those that there are".to_owned(),
        })?;
        let reading = Reading {
            text: Arc::clone(text),
            schema: if self.schema.fields().is_empty() { marker() } else { Arc::clone(&self.schema) },
            location: Arc::clone(&self.location),
            tables: Arc::clone(&self.tables),
            batch_rows: context.session_config().batch_size(),
            scope: self.scope(&context),
            runtime: context.runtime_env(),
        };
        let counted = BaselineMetrics::new(&self.metrics, partition);
        let schema = Arc::clone(&self.schema);
        let batches = Arc::clone(&self.database).read(reading).map(move |batch| {
            let batch = batch?;
            counted.record_output(batch.num_rows());
            if schema.fields().is_empty() { without_columns(&schema, &batch) } else { Ok(batch) }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match args.partition() {
            None => Ok(Arc::clone(&self.statistics)),
            Some(_) => Ok(Arc::new(Statistics::new_unknown(&self.schema))),
        }
    }
}

/// What a statement without columns is answered with: one column that says how many rows there are.
fn marker() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("rows", DataType::Int64, false)]))
}

fn without_columns(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), Vec::new(), &options)?)
}

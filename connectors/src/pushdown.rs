//! The seam for sources that evaluate: a site gives one a whole subtree of a plan, and reads its answer as one scan.
//!
//! ```text
//! before   Aggregate(Join(Scan orders, Scan customer))      both tables of one database
//! after    one scan, whose statement joins and groups in the database
//! ```
//!
//! A source shows that it evaluates by handing out its tables as [`EvaluatedTable`]s.

mod table_read;

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_catalog::default_table_source::source_as_provider;
use datafusion_common::{Constraints, Result, Statistics};
use datafusion_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableScan, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_session::{Session, TableProvider};

pub use self::table_read::TableReadExec;
use crate::error::ConnectorError;
use crate::statement::{Accepts, Refusal};

/// Which evaluator it is. Two tables whose evaluators have one id can be read by one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EvaluatorId(pub usize);

/// What evaluates plans over its own tables. There are no default methods.
#[async_trait]
pub trait Evaluates: Debug + Send + Sync {
    /// Equal for evaluators that reach the same tables by the same means: sources over one pool are one evaluator. Valid
    /// for as long as a table of the evaluator is held.
    fn id(&self) -> EvaluatorId;

    /// The operators and functions that it takes, by name. That one is named is no promise: [`Self::evaluate`] also looks
    /// at types.
    fn accepts(&self) -> Accepts;

    /// One scan that answers `plan`.
    ///
    /// `plan` is an optimized subtree in which every scan is of a table of this evaluator; scan filters, projections and
    /// limits in it count, whatever the tables' providers promise. `expected` is what the scan tells of its rows to whoever
    /// plans around it. Nothing is asked of the far side yet.
    ///
    /// The caller may assume that the scan gives exactly the rows that DataFusion would make of `plan` over the tables'
    /// content of one moment, in the plan's order if its root is a sort or stands over one with limits and projections
    /// between; with the columns of the plan's schema, by position and in exactly their types; in one partition. Where
    /// DataFusion would fail on a value, the scan fails, or does without the value.
    ///
    /// # Errors
    /// The first operator or expression that is not known to mean exactly the same there: the caller cuts smaller.
    fn evaluate(&self, plan: &LogicalPlan, expected: Statistics) -> Result<Evaluated, Refusal>;

    /// Asks the far side whether it takes what [`Self::evaluate`] has made, before anything is planned around it; why not, if
    /// not: the caller then cuts smaller. What the far side says of it is told to nobody.
    ///
    /// # Errors
    /// If it cannot be asked.
    async fn ask(&self, evaluated: &Evaluated) -> Result<Option<Refusal>, ConnectorError>;
}

/// A subtree that a source evaluates.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the far side is asked, for whoever may see it.
    pub text: String,
    /// Reads the answer.
    pub scan: Arc<dyn ExecutionPlan>,
}

/// A table of an evaluator: read on its own as any other, by way of its provider, as a [`TableReadExec`].
#[derive(Debug)]
pub struct EvaluatedTable {
    table: Arc<dyn TableProvider>,
    evaluator: Arc<dyn Evaluates>,
}

impl EvaluatedTable {
    /// `table`, which `evaluator` can also read as a part of a larger plan.
    pub fn new(table: Arc<dyn TableProvider>, evaluator: Arc<dyn Evaluates>) -> Self {
        Self { table, evaluator }
    }

    /// The table whose rows a scan reads, if an evaluator has it.
    pub fn of(scan: &TableScan) -> Option<Arc<Self>> {
        let provider: Arc<dyn std::any::Any + Send + Sync> = source_as_provider(&scan.source).ok()?;
        provider.downcast().ok()
    }

    /// What reads it on its own.
    pub fn table(&self) -> &Arc<dyn TableProvider> {
        &self.table
    }

    /// Who evaluates over it.
    pub fn evaluator(&self) -> &Arc<dyn Evaluates> {
        &self.evaluator
    }
}

/// Who evaluates over the table that a scan reads; `None` for a source that only hands out rows.
pub fn evaluator_of(scan: &TableScan) -> Option<Arc<dyn Evaluates>> {
    EvaluatedTable::of(scan).map(|table| Arc::clone(table.evaluator()))
}

#[async_trait]
impl TableProvider for EvaluatedTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.table.constraints()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.table.get_logical_plan()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.table.scan(state, projection, filters, limit).await?;
        Ok(Arc::new(TableReadExec::new(scan, filters.to_vec(), limit)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.statistics()
    }
}

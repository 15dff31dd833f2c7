//! A SQL database behind a connector: statements in, rows out. What all such connectors share; each one's own is how it is
//! reached, what its catalogs say, its dialect and the form of its rows.
//!
//! ```text
//! Database  the seam, in this file: what a database says of itself, and its rows
//! table     a table as DataFusion scans it; places: a large one in parts; kept: what it did not take of a scan
//! evaluate  a subtree of a plan as one statement
//! exec      the operator that reads statements, one a partition
//! moment    what all scans of one statement share of one database
//! batch     rows into batches; values: one column being built; misfit: a value that has no exact form
//! ```
//!
//! A scan and a subtree are written by the same generator, so that a database has one list of what it takes.

pub(crate) mod batch;
pub(crate) mod evaluate;
pub(crate) mod exec;
mod kept;
pub(crate) mod misfit;
pub(crate) mod moment;
pub(crate) mod places;
pub(crate) mod table;
pub(crate) mod values;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_execution::runtime_env::RuntimeEnv;
use datafusion_expr::LogicalPlan;
use futures::stream::BoxStream;

use crate::connector::TableDescription;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;
use crate::statement::{Accepts, Refusal, Statement, StoredTables};

/// One database as all sources over it share it. There are no default methods.
#[async_trait]
pub(crate) trait Database: Debug + Send + Sync {
    /// What the operator that reads it is called.
    fn scan_name(&self) -> &'static str;

    /// The database as errors and logs name it.
    fn shown(&self) -> String;

    /// How many statements it bears at once.
    fn readers_max(&self) -> usize;

    /// The operators and functions that it takes, by name.
    fn accepts(&self) -> Accepts;

    /// `plan` as one statement in its dialect; tables are named as it names them, and stored as `stored` tells.
    ///
    /// # Errors
    /// The first operator or expression that is not known to mean the same there.
    fn write(&self, plan: &LogicalPlan, stored: &StoredTables) -> Result<Statement, Refusal>;

    /// Asks whether the database takes `statement` and would answer it with the columns that it declares; why not, if not. A
    /// database whose list is certain is asked nothing.
    ///
    /// # Errors
    /// If it cannot be asked.
    async fn ask(self: Arc<Self>, statement: &Statement) -> Result<Option<Refusal>, ConnectorError>;

    /// The rows of one statement. Nothing is asked before the stream is polled.
    ///
    /// # Cancellation
    /// Dropping the stream ends the statement.
    fn read(self: Arc<Self>, reading: Reading) -> Batches;
}

/// The rows of a statement: of exactly its schema, and all of them, or an error at the end.
pub(crate) type Batches = BoxStream<'static, Result<RecordBatch, ConnectorError>>;

/// What is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) text: Arc<str>,
    /// The columns of the answer, by position; at least one.
    pub(crate) schema: SchemaRef,
    /// What it is, as errors name it.
    pub(crate) location: Arc<str>,
    /// The tables that are read, as they were described.
    pub(crate) tables: Arc<[Arc<TableDescription>]>,
    pub(crate) batch_rows: usize,
    /// Where the moment is kept at which others read too; without one it is read at a moment of its own.
    pub(crate) scope: Option<Arc<ReadScope>>,
    /// Where rows can wait on disk.
    pub(crate) runtime: Arc<RuntimeEnv>,
}

//! A subtree of a plan as one statement of a database.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion_common::tree_node::Transformed;
use datafusion_common::{Result, Statistics};
use datafusion_expr::{LogicalPlan, TableScan};

use super::Database;
use super::exec::StatementScan;
use super::table::{DatabaseTable, unqualified};
use crate::connector::TableDescription;
use crate::error::ConnectorError;
use crate::pushdown::{Evaluated, EvaluatedTable, Evaluates, EvaluatorId};
use crate::statement::{Accepts, Refusal, Statement, StoredTables};

/// Evaluates over the tables of one database, whichever sources serve them.
#[derive(Debug)]
pub(crate) struct DatabaseEvaluator(pub(crate) Arc<dyn Database>);

#[async_trait]
impl Evaluates for DatabaseEvaluator {
    /// Sources share the database, and a table holds it.
    fn id(&self) -> EvaluatorId {
        EvaluatorId(Arc::as_ptr(&self.0).addr())
    }

    fn accepts(&self) -> Accepts {
        self.0.accepts()
    }

    fn evaluate(&self, plan: &LogicalPlan, expected: Statistics) -> Result<Evaluated, Refusal> {
        if plan.schema().fields().is_empty() {
            return Err(Refusal::new("statement", "has no columns"));
        }
        let (mut stored, mut tables) = (StoredTables::default(), Vec::new());
        let named = with_names_of_the_database(plan.clone(), &mut stored, &mut tables)
            .map_err(|error| Refusal::new("scan", error.strip_backtrace()))?;
        let statement = self.0.write(&named, &stored)?;
        let text = statement.text.clone();
        let scan = StatementScan::of_statement(Arc::clone(&self.0), statement, tables);
        Ok(Evaluated { text, scan: Arc::new(scan.with_statistics(expected)) })
    }

    async fn ask(&self, evaluated: &Evaluated) -> Result<Option<Refusal>, ConnectorError> {
        let statement = Statement { text: evaluated.text.clone(), schema: evaluated.scan.schema(), steps: 1 };
        Arc::clone(&self.0).ask(&statement).await
    }
}

/// The same plan with every table named as the database names it; which tables these are, and how they are stored.
fn with_names_of_the_database(
    plan: LogicalPlan,
    stored: &mut StoredTables,
    tables: &mut Vec<Arc<TableDescription>>,
) -> Result<LogicalPlan> {
    let named = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let evaluated = EvaluatedTable::of(&scan);
            match evaluated.as_ref().and_then(|table| table.table().downcast_ref::<DatabaseTable>()) {
                Some(table) => {
                    table.tell(stored);
                    tables.push(Arc::clone(table.description()));
                    Ok(Transformed::yes(LogicalPlan::TableScan(renamed(scan, table)?)))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(named.data)
}

fn renamed(scan: TableScan, table: &DatabaseTable) -> Result<TableScan> {
    let filters = scan.filters.iter().cloned().map(unqualified).collect::<Result<_>>()?;
    Ok(TableScan { table_name: table.name().clone(), filters, ..scan })
}

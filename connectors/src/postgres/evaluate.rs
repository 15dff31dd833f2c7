//! A subtree of a plan as one statement of the server.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, Result, Statistics, TableReference};
use datafusion_expr::{Expr, LogicalPlan, TableScan};

use super::exec::PostgresScan;
use super::scan::PostgresTable;
use super::server::Server;
use crate::pushdown::{Evaluated, EvaluatedTable, Evaluates, EvaluatorId};
use crate::statement::{Accepts, Refusal, StoredTables, write_for_postgres};

/// Evaluates over the tables of one database, whichever of its schemas they are in.
#[derive(Debug)]
pub(super) struct PostgresEvaluator(pub(super) Arc<Server>);

impl Evaluates for PostgresEvaluator {
    /// Sources share the server, and a table holds it.
    fn id(&self) -> EvaluatorId {
        EvaluatorId(Arc::as_ptr(&self.0).addr())
    }

    fn accepts(&self) -> Accepts {
        Accepts::postgres()
    }

    fn evaluate(&self, plan: &LogicalPlan, expected: Statistics) -> Result<Evaluated, Refusal> {
        if plan.schema().fields().is_empty() {
            return Err(Refusal::new("statement", "has no columns"));
        }
        let mut stored = StoredTables::default();
        let named = with_names_of_the_server(plan.clone(), &mut stored)
            .map_err(|error| Refusal::new("scan", error.strip_backtrace()))?;
        let statement = write_for_postgres(&named, &self.accepts(), &stored)?;
        let scan = PostgresScan::of_statement(Arc::clone(&self.0), statement.text.clone(), statement.schema);
        Ok(Evaluated { text: statement.text, scan: Arc::new(scan.with_statistics(expected)) })
    }
}

/// The same plan with every table named as the server names it, and how its columns are stored.
fn with_names_of_the_server(plan: LogicalPlan, stored: &mut StoredTables) -> Result<LogicalPlan> {
    let named = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let evaluated = EvaluatedTable::of(&scan);
            match evaluated.as_ref().and_then(|table| table.table().downcast_ref::<PostgresTable>()) {
                Some(table) => {
                    let name = table.name_at_server();
                    table.tell_stored(&name, stored);
                    Ok(Transformed::yes(LogicalPlan::TableScan(renamed(scan, name)?)))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(named.data)
}

/// Filters of a scan name the table as the plan does; without the table's name they mean the same columns.
fn renamed(scan: TableScan, table_name: TableReference) -> Result<TableScan> {
    let without_table = |filter: Expr| {
        let renamed = filter.transform(|part| match part {
            Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(renamed.data)
    };
    let filters = scan.filters.iter().cloned().map(without_table).collect::<Result<_>>()?;
    Ok(TableScan { table_name, filters, ..scan })
}

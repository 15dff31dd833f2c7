//! A table that takes every filter exactly: after planning, the filter stands nowhere but in its scan.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::prelude::SessionContext;

#[derive(Debug)]
struct Pushing(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for Pushing {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut plan = self.0.scan(state, None, &[], None).await?;
        let schema = self.0.schema();
        if let Some(predicate) = conjunction(filters.to_vec()) {
            let named = DFSchema::try_from(Arc::clone(&schema))?;
            plan = Arc::new(FilterExec::try_new(state.create_physical_expr(predicate, &named)?, plan)?);
        }
        let Some(kept) = projection else {
            return Ok(plan);
        };
        let columns = kept.iter().map(|index| {
            let name = schema.field(*index).name();
            let column = datafusion::physical_expr::expressions::Column::new(name, *index);
            (Arc::new(column) as Arc<dyn datafusion::physical_expr::PhysicalExpr>, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
    }
}

/// Puts a table that takes every filter in the place of `name`.
pub(super) async fn push_down_into(ctx: &SessionContext, name: &str) {
    let inner = ctx.deregister_table(name).unwrap().unwrap();
    ctx.register_table(name, Arc::new(Pushing(inner))).unwrap();
}

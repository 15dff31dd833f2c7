//! DataFusion's physical filter pushdown, kept from plans in which it would filter another column.
//!
//! DataFusion 55.2 finds the column of a moved filter by its name and takes the first of that name (`FilterRemapper`);
//! after a join two columns may share one. In such a plan filters stay where they were planned: every filter that a
//! statement has is at its place before these rules run, so only filters that are learnt while running are missed.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

/// A rule of DataFusion's that runs only where every operator's column names are unique.
#[derive(Debug)]
pub struct FiltersByUniqueNames(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl FiltersByUniqueNames {
    /// Guards `rule`.
    pub fn new(rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>) -> Self {
        Self(rule)
    }
}

impl PhysicalOptimizerRule for FiltersByUniqueNames {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if has_a_name_twice(&plan)? { Ok(plan) } else { self.0.optimize(plan, config) }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn has_a_name_twice(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut twice = false;
    plan.apply(|node| {
        let schema = node.schema();
        let mut names = HashSet::new();
        twice = !schema.fields().iter().all(|field| names.insert(field.name().as_str()));
        Ok(if twice { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(twice)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use crate::config::limits::Limits;
    use crate::exec::physical_rules;

    async fn filters_learnt(sql: &str) -> bool {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_physical_optimizer_rules(physical_rules(&Limits::default()));
        let ctx = SessionContext::new_with_state(state.build());
        let parquet = tempfile::tempdir().unwrap();
        let path = parquet.path().to_str().unwrap();
        ctx.sql(&format!("COPY (VALUES (1, 2)) TO '{path}/t.parquet'")).await.unwrap().collect().await.unwrap();
        ctx.register_parquet("t", path, Default::default()).await.unwrap();
        let plan = ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string().contains("DynamicFilter")
    }

    #[tokio::test]
    async fn a_plan_with_a_name_twice_is_left_alone() {
        let renamed = "(SELECT column1 AS x, column2 AS y FROM t) u";
        assert!(filters_learnt(&format!("SELECT x, y FROM t JOIN {renamed} ON t.column1 = u.x")).await);
        assert!(!filters_learnt("SELECT * FROM t JOIN t u ON t.column1 = u.column1").await);
    }
}

//! The barrier's logical half: a node that keeps a treated table together, and DataFusion's rules out of it.
//!
//! ```text
//! SubqueryAlias: t
//!   PolicyBarrier: table=source.t      ← all that a plan shows
//!     Projection κ                     ← held inside, no input of the node
//!       Filter φ
//!         TableScan
//! ```
//!
//! While DataFusion's rules run, the barrier is *sealed*: a leaf, so that nothing can be moved through it, merged into it
//! or shown of it, whatever a rule does with nodes that it does not know. (An ordinary extension node is no barrier:
//! DataFusion 55.2 pushes every conjunct that reads no column, `1/0 > 0`, below it, where an error tells of hidden rows.)
//! The engine moves down what may cross, then *unseals* it for column pruning and physical planning.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion_common::{DFSchemaRef, Result, internal_err};
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::decision::{Decision, Treatment};
use crate::resource::TableName;

/// One barrier of one request: a table that is named twice has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BarrierId(pub u64);

/// What a barrier stands for: a table and what was decided about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Governed {
    /// The table.
    pub table: TableName,
    /// The decision.
    pub decision: Decision,
    /// Which of the request's barriers it is.
    pub id: BarrierId,
}

impl Governed {
    /// Whether every row of the table is there for the subject: nothing hidden, nothing to leak by what is moved down.
    pub fn shows_all_rows(&self) -> bool {
        self.decision.row_filter.is_none()
    }

    /// Whether the subject sees `column` as it is.
    pub fn is_clear(&self, column: &str) -> bool {
        self.decision.columns.iter().any(|decided| decided.name == column && decided.treatment == Treatment::Clear)
    }
}

/// A treated table. Its columns are those of its inside.
#[derive(Debug, Clone)]
pub struct PolicyBarrier {
    governed: Arc<Governed>,
    inside: Arc<LogicalPlan>,
    sight: Sight,
}

/// Whether the inside is an input that rules and planners see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sight {
    Sealed,
    Unsealed,
}

impl PolicyBarrier {
    /// A sealed barrier around a treated scan.
    pub fn new(governed: Arc<Governed>, inside: LogicalPlan) -> Self {
        Self { governed, inside: Arc::new(inside), sight: Sight::Sealed }
    }

    /// The barrier that `plan` is, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// What it stands for.
    pub fn governed(&self) -> &Arc<Governed> {
        &self.governed
    }

    /// The treated scan.
    pub fn inside(&self) -> &LogicalPlan {
        &self.inside
    }

    /// The same barrier around another plan.
    #[must_use]
    pub fn around(&self, inside: LogicalPlan) -> Self {
        Self { inside: Arc::new(inside), ..self.clone() }
    }

    /// The same barrier with its inside as an input, for column pruning and physical planning.
    #[must_use]
    pub fn unsealed(&self) -> Self {
        Self { sight: Sight::Unsealed, ..self.clone() }
    }

    /// As a node of a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    fn key(&self) -> (BarrierId, Sight, &LogicalPlan) {
        (self.governed.id, self.sight, &self.inside)
    }
}

impl PartialEq for PolicyBarrier {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PolicyBarrier {}

impl Hash for PolicyBarrier {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for PolicyBarrier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.governed.id.cmp(&other.governed.id) {
            Ordering::Equal => (self == other).then_some(Ordering::Equal),
            order => Some(order),
        }
    }
}

impl UserDefinedLogicalNodeCore for PolicyBarrier {
    fn name(&self) -> &'static str {
        "PolicyBarrier"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        match self.sight {
            Sight::Sealed => Vec::new(),
            Sight::Unsealed => vec![&self.inside],
        }
    }

    fn schema(&self) -> &DFSchemaRef {
        self.inside.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyBarrier: table={}", self.governed.table)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (self.sight, inputs.pop()) {
            (Sight::Sealed, None) => Ok(self.clone()),
            (Sight::Unsealed, Some(inside)) if inputs.is_empty() => Ok(self.around(inside)),
            _ => internal_err!("a barrier was given inputs that it does not have"),
        }
    }

    /// Column for column: pruning crosses always.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        match self.sight {
            Sight::Sealed => None,
            Sight::Unsealed => Some(vec![output_columns.to_vec()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion_common::{DFSchema, ScalarValue};
    use datafusion_expr::{EmptyRelation, LogicalPlanBuilder, lit};

    use super::*;
    use crate::decision::{ColumnDecision, GrantedBy};

    fn governed(id: u64) -> Arc<Governed> {
        let table = TableName::new("health", "patient");
        let clear = ColumnDecision { name: "ward".into(), treatment: Treatment::Clear, policies: vec![] };
        let bounded = Treatment::AggregateOnly { low: ScalarValue::from(0), high: ScalarValue::from(9) };
        let cost = ColumnDecision { name: "cost".into(), treatment: bounded, policies: vec![] };
        let decision = Decision {
            table: table.clone(),
            grant: GrantedBy { id: "g-1".into(), until: None, rows_per_day: None, bytes_per_day: None },
            purpose: "care".into(),
            row_filter: None,
            columns: vec![clear, cost],
            release: None,
            keys: vec![],
        };
        Arc::new(Governed { table, decision, id: BarrierId(id) })
    }

    fn inside() -> LogicalPlan {
        LogicalPlanBuilder::empty(true)
            .project(vec![lit(1).alias("ward"), lit(2).alias("cost")])
            .unwrap()
            .build()
            .unwrap()
    }

    #[test]
    fn sealed_it_is_a_leaf_and_unsealed_it_is_not() {
        let sealed = PolicyBarrier::new(governed(1), inside());
        assert_eq!(sealed.clone().into_plan().inputs().len(), 0);
        assert_eq!(sealed.unsealed().into_plan().inputs().len(), 1);
        assert_ne!(sealed, sealed.unsealed());
    }

    #[test]
    fn all_that_is_shown_is_the_table() {
        let plan = PolicyBarrier::new(governed(1), inside()).into_plan();
        assert_eq!(plan.display_indent().to_string(), "PolicyBarrier: table=health.patient");
    }

    #[test]
    fn a_rule_cannot_give_a_sealed_barrier_another_inside() {
        let other =
            LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) });
        let sealed = PolicyBarrier::new(governed(1), inside());
        assert!(sealed.with_exprs_and_inputs(vec![], vec![other.clone()]).is_err());
        assert!(sealed.unsealed().with_exprs_and_inputs(vec![], vec![other.clone(), other]).is_err());
        assert!(sealed.unsealed().with_exprs_and_inputs(vec![], vec![]).is_err());
    }

    #[test]
    fn two_barriers_of_one_table_differ() {
        assert_ne!(PolicyBarrier::new(governed(1), inside()), PolicyBarrier::new(governed(2), inside()));
        assert_eq!(PolicyBarrier::new(governed(1), inside()), PolicyBarrier::new(governed(1), inside()));
    }

    #[test]
    fn a_treated_column_is_not_clear_and_neither_is_an_unknown_one() {
        let governed = governed(1);
        assert!(governed.is_clear("ward"));
        assert!(!governed.is_clear("cost"));
        assert!(!governed.is_clear("__entity"));
    }
}

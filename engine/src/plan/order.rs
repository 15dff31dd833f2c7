//! The order in which a subtree's rows come: what has to be done again above a border at which it is lost.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Sort, SortExpr};

/// The order in which a subtree's rows come, as far as somebody above may count on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Any.
    None,
    /// By these keys, over the columns of the subtree.
    By(Vec<SortExpr>),
    /// Ordered by what its own columns do not hold: the sort has to stay above the border.
    Hidden,
}

impl Order {
    /// The order of `plan`.
    pub fn of(plan: &LogicalPlan) -> Self {
        match plan {
            LogicalPlan::Sort(sort) => Self::By(sort.expr.clone()),
            LogicalPlan::Limit(limit) => Self::of(&limit.input),
            LogicalPlan::SubqueryAlias(alias) => match Self::of(&alias.input) {
                Self::By(_) => Self::Hidden,
                order => order,
            },
            LogicalPlan::Projection(projection) => match Self::of(&projection.input) {
                Self::By(keys) => keys
                    .into_iter()
                    .map(|key| through(projection, key))
                    .collect::<Option<_>>()
                    .map_or(Self::Hidden, Self::By),
                order => order,
            },
            _ => Self::None,
        }
    }

    /// `leaf`, which stands for the subtree, with its rows in this order: the rows of a leaf are spread over threads, so
    /// what was sorted inside is sorted again above.
    pub fn restored(self, leaf: LogicalPlan) -> LogicalPlan {
        match self {
            Self::By(expr) => LogicalPlan::Sort(Sort { expr, input: Arc::new(leaf), fetch: None }),
            Self::None | Self::Hidden => leaf,
        }
    }
}

/// A sort key below a projection as a column of the projection, when it is one.
fn through(projection: &Projection, key: SortExpr) -> Option<SortExpr> {
    let index = projection.expr.iter().position(|expr| match expr {
        Expr::Alias(alias) => *alias.expr == key.expr,
        expr => *expr == key.expr,
    })?;
    let column = Column::from(projection.schema.qualified_field(index));
    Some(SortExpr { expr: Expr::Column(column), ..key })
}

//! The proof of a statement: its plan, types coerced and nothing optimized, has the canonical form of its fragment.

use datafusion_expr::LogicalPlan;

use super::canonical::{Node, Shape, shape};
use super::refusal::Refusal;

/// Compares a fragment with the plan of its text.
///
/// `planned` is the text parsed and bound by `SqlToRel` against the same tables, then analyzed by
/// `ResolveGroupingFunction` and `TypeCoercion`, which are the default analyzer's rules, and *not* optimized: the
/// comparison may not depend on an optimizer doing the same thing twice. The settings of the session that plans it do
/// not matter.
///
/// Types need no comparison of their own: they follow from the types of tables, literals and casts, all of which the
/// canonical form holds.
///
/// # Errors
/// The operator at which the two differ. Then the text may mean something else, and must not be sent.
pub fn check(fragment: &LogicalPlan, planned: &LogicalPlan) -> Result<(), Refusal> {
    let (asked, read) = (shape(fragment)?, shape(planned)?);
    check_node(&asked.node, &read.node)?;
    // Rows without columns are answered with a marker; that there are as many rows is proven above.
    if fragment.schema().fields().is_empty() {
        return Ok(());
    }
    if asked.outputs != read.outputs {
        return Err(Refusal::new("projection", "the text's columns differ"));
    }
    Ok(())
}

/// Finds the lowest operator at which two forms differ.
fn check_node(asked: &Node, read: &Node) -> Result<(), Refusal> {
    if asked == read {
        return Ok(());
    }
    let (asked_inputs, read_inputs) = (asked.inputs(), read.inputs());
    if asked.name() != read.name() || asked_inputs.len() != read_inputs.len() {
        return Err(Refusal::new(asked.name(), format!("the text says {} in its place", read.name())));
    }
    for (asked, read) in asked_inputs.into_iter().zip(read_inputs) {
        check_node(asked, read)?;
    }
    Err(Refusal::new(asked.name(), "the text says it otherwise"))
}

impl Node {
    fn name(&self) -> &'static str {
        match self {
            Self::Scan { .. } => "scan",
            Self::OneRow | Self::Nothing => "empty relation",
            Self::Values(_) => "values",
            Self::Filter { .. } => "filter",
            Self::Join { .. } => "join",
            Self::Aggregate { .. } => "aggregate",
            Self::Distinct { .. } => "distinct",
            Self::Sort { .. } => "sort",
            Self::Limit { .. } => "limit",
            Self::Union(_) => "union",
            Self::Window { .. } => "window",
        }
    }

    fn inputs(&self) -> Vec<&Node> {
        match self {
            Self::Scan { .. } | Self::OneRow | Self::Nothing | Self::Values(_) => Vec::new(),
            Self::Filter { input, .. }
            | Self::Aggregate { input, .. }
            | Self::Distinct { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Window { input, .. } => vec![input],
            Self::Join { left, right, .. } => vec![left, right],
            Self::Union(inputs) => inputs.iter().map(|Shape { node, .. }| node).collect(),
        }
    }
}

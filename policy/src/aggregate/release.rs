//! The release of groups: a sealed leaf around an aggregate, as the barrier is around a table. A condition that reads no
//! column, pushed below, would tell a suppressed group from one that does not exist.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion_common::{DFSchemaRef, Result, internal_err};
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// Groups of an aggregate, those that may be told. The inside has the told columns first, then columns of BOOLEAN: a group
/// is told where all of these are TRUE.
#[derive(Debug, Clone)]
pub struct Release {
    inside: Arc<LogicalPlan>,
    told: DFSchemaRef,
    is_sealed: Sealed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sealed {
    Yes,
    No,
}

impl Release {
    /// The groups of `inside` that may be told, with its first columns under the names of `told`.
    pub fn new(inside: LogicalPlan, told: DFSchemaRef) -> Self {
        Self { inside: Arc::new(inside), told, is_sealed: Sealed::Yes }
    }

    /// The release that `plan` is, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The aggregate.
    pub fn inside(&self) -> &LogicalPlan {
        &self.inside
    }

    /// How many columns are told.
    pub fn columns(&self) -> usize {
        self.told.fields().len()
    }

    /// The same around another plan, with its inside as an input: for physical planning.
    #[must_use]
    pub fn unsealed_around(&self, inside: LogicalPlan) -> Self {
        Self { inside: Arc::new(inside), is_sealed: Sealed::No, ..self.clone() }
    }

    /// As a node of a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.is_sealed == other.is_sealed && self.inside == other.inside && self.told == other.told
    }
}

impl Eq for Release {}

impl Hash for Release {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inside.hash(state);
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.inside.partial_cmp(&other.inside).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Release {
    fn name(&self) -> &'static str {
        "Release"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        match self.is_sealed {
            Sealed::Yes => Vec::new(),
            Sealed::No => vec![&self.inside],
        }
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.told
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release: {}", self.told.field_names().join(", "))
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (self.is_sealed, inputs.pop()) {
            (Sealed::Yes, None) => Ok(self.clone()),
            (Sealed::No, Some(inside)) if inputs.is_empty() => Ok(self.unsealed_around(inside)),
            _ => internal_err!("a release was given inputs that it does not have"),
        }
    }
}

//! Why a plan cannot be written as a statement: the planner cuts a smaller fragment and counts the operator.

use std::fmt;

/// The operator or expression that a statement cannot say, and why.
///
/// A refusal is an answer, not a fault: whoever cuts fragments leaves the named operator to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The operator or expression by its name in the plan, such as `join` or `random`.
    pub operator: String,
    /// What about it cannot be written, in a few words.
    pub reason: String,
}

impl Refusal {
    /// A refusal of `operator` for `reason`.
    pub fn new(operator: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { operator: operator.into(), reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operator, self.reason)
    }
}

impl std::error::Error for Refusal {}

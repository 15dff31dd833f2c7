//! What is wrong with a policy statement, in words for its author; and failures while deciding, which deny.

/// Why a statement or a set of them is refused. Nothing of it takes effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not a policy statement.
    #[error("{0}")]
    Syntax(String),
    /// It names something that is not there: a table, a column, a tag, a purpose, a policy, a grant.
    #[error("{0}")]
    NotFound(String),
    /// It is understood and cannot take effect: types that do not fit, a conflict, a name that is taken.
    #[error("{0}")]
    Refused(String),
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = PolicyError> = std::result::Result<T, E>;

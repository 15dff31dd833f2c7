//! What goes wrong, in words a caller can act on: every error of the engine carries one code of a closed table.
//!
//! Inside DataFusion an [`EngineError`] travels as `DataFusionError::External`; [`EngineError::from`] finds it again.
//! Only `flight/status.rs` turns a code into a gRPC status.
//!
//! - `code`: the table of codes; here: the error itself; `cause`: what the log says of what is below it.
//! - `of_datafusion`: what becomes of an error of DataFusion's; `of_statement`, `of_running`: of one that is its own, before
//!   a statement runs and while it does.

mod cause;
mod code;
mod of_datafusion;
mod of_running;
mod of_statement;

use std::borrow::Cow;
use std::time::Duration;

pub(crate) use cause::with_causes;
pub use code::{Code, Kind};

/// The result of everything in this crate that can fail.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error of the engine: a code, a sentence that a client may read, and a cause that only the log sees.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {sentence}")]
pub struct EngineError {
    code: Code,
    sentence: String,
    /// When to ask again, where that helps.
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EngineError {
    /// An error whose sentence a client may read: what, where, what to do; never a value it may not see.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), retry_after: None, source: None }
    }

    /// A defect of ours. The detail goes to the log; the client reads a fixed sentence.
    pub fn internal(detail: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "the query failed by a defect of this server; its log says more under the query id")
            .caused_by(detail)
    }

    /// A defect of ours in words of ours, which the log repeats: names and numbers of this program, never a value.
    pub fn defect(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::internal(cause::Defect(detail.into()))
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says when it helps to ask again.
    #[must_use]
    pub fn to_retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// When it helps to ask again; told to clients of `BUSY`.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What happened.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.code.kind()
    }

    /// The sentence that a client reads.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The code and the kinds of the causes on one line, for a log: sentences and the causes' texts may hold values.
    pub fn for_log(&self) -> String {
        format!("{}{}", self.code, cause::kinds(self))
    }

    /// The error and its causes on one line, for those who read the data and the configuration themselves.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(" <- ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// A copy without its cause, for a second reader of the same failure.
    pub fn duplicate(&self) -> Self {
        Self { retry_after: self.retry_after, ..Self::new(self.code, self.sentence.clone()) }
    }
}

//! What goes wrong, in words a caller can act on: every error of the engine carries one code of a closed table.
//!
//! Inside DataFusion an [`EngineError`] travels as `DataFusionError::External`; [`EngineError::from`] finds it again.
//! Only `flight/status.rs` turns a code into a gRPC status.

use std::fmt;

use connectors::error::ConnectorError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// The result of everything in this crate that can fail.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// What happened, as a client sees it in front of the sentence (`CODE: sentence`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not SQL.
    Syntax,
    /// The statement's types do not fit together.
    Type,
    /// A construct that is not offered.
    Unsupported,
    /// A class of statement that is refused here.
    Statement,
    /// A function that is refused here.
    Function,
    /// A budget before parsing or planning is exceeded.
    Complexity,
    /// An estimate beyond the limit.
    Cost,
    /// Unknown, forbidden, hidden, or somebody else's handle: all alike.
    NotFound,
    /// No identity, or none that is believed here.
    Unauthenticated,
    /// No purpose, or one that the subject does not hold.
    Purpose,
    /// A grant was revoked while the query ran.
    Revoked,
    /// A grant or an identity ended while the query ran.
    Expired,
    /// A cap of the grant or the subject.
    Cap,
    /// A use of an aggregate-only column that policy refuses.
    Aggregate,
    /// A movement between sites that policy refuses.
    Disclosure,
    /// A failure that depends on a value: cast, overflow, division.
    Eval,
    /// A memory limit.
    Memory,
    /// A time limit.
    Deadline,
    /// The query was cancelled.
    Cancelled,
    /// A limit on how much is done at once; try again.
    Busy,
    /// A site cannot be reached, or went away.
    SiteUnavailable,
    /// A site sent what it must not.
    SiteProtocol,
    /// A site's view has moved on since the statement was planned.
    Stale,
    /// Evidence cannot be written, so nothing is served.
    Audit,
    /// The policy of a site cannot be read; told to its administrators only.
    Policy,
    /// The configuration is wrong.
    Config,
    /// A defect of this program.
    Internal,
}

/// What a caller can do about an error; coarser than [`Code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the field's and say it all")]
pub enum Kind {
    InvalidQuery,
    NotFound,
    Unauthenticated,
    Forbidden,
    Unsupported,
    ResourceExhausted,
    DeadlineExceeded,
    Cancelled,
    SiteUnavailable,
    Internal,
}

impl Code {
    /// Every code, so that a name can be read back.
    pub const ALL: [Code; 27] = [
        Code::Syntax,
        Code::Type,
        Code::Unsupported,
        Code::Statement,
        Code::Function,
        Code::Complexity,
        Code::Cost,
        Code::NotFound,
        Code::Unauthenticated,
        Code::Purpose,
        Code::Revoked,
        Code::Expired,
        Code::Cap,
        Code::Aggregate,
        Code::Disclosure,
        Code::Eval,
        Code::Memory,
        Code::Deadline,
        Code::Cancelled,
        Code::Busy,
        Code::SiteUnavailable,
        Code::SiteProtocol,
        Code::Stale,
        Code::Audit,
        Code::Policy,
        Code::Config,
        Code::Internal,
    ];

    /// The code as clients see it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Syntax => "SYNTAX",
            Code::Type => "TYPE",
            Code::Unsupported => "UNSUPPORTED",
            Code::Statement => "STATEMENT",
            Code::Function => "FUNCTION",
            Code::Complexity => "COMPLEXITY",
            Code::Cost => "COST",
            Code::NotFound => "NOT_FOUND",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Purpose => "PURPOSE",
            Code::Revoked => "REVOKED",
            Code::Expired => "EXPIRED",
            Code::Cap => "CAP",
            Code::Aggregate => "AGGREGATE",
            Code::Disclosure => "DISCLOSURE",
            Code::Eval => "EVAL",
            Code::Memory => "MEMORY",
            Code::Deadline => "DEADLINE",
            Code::Cancelled => "CANCELLED",
            Code::Busy => "BUSY",
            Code::SiteUnavailable => "SITE_UNAVAILABLE",
            Code::SiteProtocol => "SITE_PROTOCOL",
            Code::Stale => "STALE",
            Code::Audit => "AUDIT",
            Code::Policy => "POLICY",
            Code::Config => "CONFIG",
            Code::Internal => "INTERNAL",
        }
    }

    /// The code of that name, when there is one.
    pub fn from_name(name: &str) -> Option<Code> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// What a caller can do about it.
    pub fn kind(self) -> Kind {
        match self {
            Code::Syntax | Code::Type | Code::Statement | Code::Function | Code::Complexity | Code::Eval => {
                Kind::InvalidQuery
            }
            Code::NotFound => Kind::NotFound,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::Purpose | Code::Revoked | Code::Expired | Code::Aggregate | Code::Disclosure | Code::Policy => {
                Kind::Forbidden
            }
            Code::Unsupported => Kind::Unsupported,
            Code::Memory | Code::Busy | Code::Cost | Code::Cap => Kind::ResourceExhausted,
            Code::Deadline => Kind::DeadlineExceeded,
            Code::Cancelled => Kind::Cancelled,
            Code::SiteUnavailable | Code::Audit => Kind::SiteUnavailable,
            Code::SiteProtocol | Code::Stale | Code::Config | Code::Internal => Kind::Internal,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of the engine: a code, a sentence that a client may read, and a cause that only the log sees.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {sentence}")]
pub struct EngineError {
    code: Code,
    sentence: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EngineError {
    /// An error whose sentence a client may read: what, where, what to do; never a value it may not see.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), source: None }
    }

    /// A defect of ours. The detail goes to the log; the client reads a fixed sentence.
    pub fn internal(detail: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "the query failed by a defect of this server; its log says more under the query id")
            .caused_by(detail)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
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

    /// The error and its causes on one line, for the log only.
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
        Self::new(self.code, self.sentence.clone())
    }
}

impl From<EngineError> for DataFusionError {
    fn from(error: EngineError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<EngineError>() {
                Ok(ours) => *ours,
                Err(other) => describe(DataFusionError::External(other)),
            },
            other => match find_engine_error(&other) {
                Some(ours) => ours.duplicate(),
                None => describe(other),
            },
        }
    }
}

/// Our own error somewhere below DataFusion's wrappers.
fn find_engine_error(error: &DataFusionError) -> Option<&EngineError> {
    match error {
        DataFusionError::External(inner) => inner
            .downcast_ref::<EngineError>()
            .or_else(|| inner.downcast_ref::<DataFusionError>().and_then(find_engine_error))
            .or_else(|| inner.downcast_ref::<std::sync::Arc<DataFusionError>>().and_then(|e| find_engine_error(e))),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => find_engine_error(inner),
        DataFusionError::Shared(inner) => find_engine_error(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(find_engine_error),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => inner
                .downcast_ref::<EngineError>()
                .or_else(|| inner.downcast_ref::<DataFusionError>().and_then(find_engine_error)),
            _ => None,
        },
        _ => None,
    }
}

/// DataFusion's own errors in our codes. Texts of planning errors repeat the asker's own statement and may be shown;
/// texts of execution errors may repeat values and are not.
fn describe(error: DataFusionError) -> EngineError {
    if let Some(connector) = ConnectorError::find(&error) {
        let (code, sentence) = describe_connector_error(connector);
        return EngineError::new(code, sentence).caused_by(error);
    }
    match innermost(&error) {
        DataFusionError::SQL(parser, _) => {
            EngineError::new(Code::Syntax, parser.to_string().trim_start_matches("sql parser error: ").to_string())
        }
        DataFusionError::SchemaError(schema, _) => describe_schema_error(schema),
        DataFusionError::Plan(text) => describe_plan_error(text),
        DataFusionError::NotImplemented(text) => EngineError::new(Code::Unsupported, first_line(text)),
        DataFusionError::ResourcesExhausted(_) => EngineError::new(
            Code::Memory,
            "the query needs more memory than this node gives it; aggregate or filter earlier, or ask for less at once",
        )
        .caused_by(error),
        DataFusionError::ArrowError(arrow, _) => {
            EngineError::new(Code::Eval, evaluation_sentence(arrow)).caused_by(error)
        }
        // What functions make of the libraries below them, such as a pattern that is none, is external.
        DataFusionError::Execution(_) | DataFusionError::External(_) => {
            EngineError::new(Code::Eval, "an expression could not be computed for some row").caused_by(error)
        }
        _ => EngineError::internal(error),
    }
}

/// What a source did while it was read; its own words stay in the log.
fn describe_connector_error(error: &ConnectorError) -> (Code, &'static str) {
    match error {
        ConnectorError::Changed { .. } => (Code::Stale, "a table has changed while it was read; ask again"),
        ConnectorError::Unsupported { .. } => (Code::Unsupported, "the source of a table does not offer this"),
        ConnectorError::TableNotFound { .. } => (Code::NotFound, "a table is no longer there"),
        ConnectorError::Exhausted { .. } => (Code::Busy, "the source of a table bears no more at present; ask again"),
        ConnectorError::DeadlineExceeded { .. } => (Code::Deadline, "the source of a table took longer than it may"),
        ConnectorError::Cancelled { .. } => (Code::Cancelled, "the query was ended at the source of a table"),
        _ => (Code::SiteUnavailable, "the source of a table cannot be read; its owner's log says why"),
    }
}

fn innermost(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => innermost(inner),
        DataFusionError::Shared(inner) => innermost(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, innermost),
        other => other,
    }
}

fn describe_schema_error(error: &SchemaError) -> EngineError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let near = nearest(&field.name, valid_fields.iter().map(|column| column.name.as_str()));
            let hint = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            EngineError::new(Code::NotFound, format!("there is no column `{field}` here{hint}"))
        }
        SchemaError::AmbiguousReference { field } => EngineError::new(
            Code::Type,
            format!("the column `{}` stands in more than one table; write it with its table's name", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            EngineError::new(Code::Type, format!("two columns are named `{name}`; give one of them an alias"))
        }
    }
}

fn describe_plan_error(text: &str) -> EngineError {
    let line = first_line(text);
    let lower = line.to_ascii_lowercase();
    if lower.starts_with("table '") || lower.starts_with("failed to resolve") || lower.contains("table not found") {
        return EngineError::new(Code::NotFound, line);
    }
    if lower.starts_with("invalid function") {
        return EngineError::new(Code::Function, line);
    }
    EngineError::new(Code::Type, line)
}

fn evaluation_sentence(error: &arrow::error::ArrowError) -> &'static str {
    use arrow::error::ArrowError as E;
    match error {
        E::DivideByZero => "division by zero for some row",
        E::CastError(_) => "a value of some row cannot be cast to the type asked for; TRY_CAST gives NULL instead",
        E::ParseError(_) => "a text of some row cannot be read as the type asked for; TRY_CAST gives NULL instead",
        E::ArithmeticOverflow(_) => "a value of some row is too large for its type",
        _ => "an expression could not be computed for some row",
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_string()
}

/// The candidate closest to `name`, when one is close enough to be a slip of the keyboard.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const TYPING_ERRORS_MAX: usize = 2;
    candidates
        .map(|candidate| (datafusion::common::utils::datafusion_strsim::levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }

    #[test]
    fn ours_survives_the_wrappers_of_datafusion() {
        let wrapped = DataFusionError::Context(
            "while joining".into(),
            Box::new(DataFusionError::Shared(std::sync::Arc::new(EngineError::new(Code::Stale, "moved on").into()))),
        );
        assert_eq!(EngineError::from(wrapped).code(), Code::Stale);
    }

    #[test]
    fn a_value_of_an_execution_error_is_not_repeated() {
        let error = DataFusionError::ArrowError(
            Box::new(arrow::error::ArrowError::CastError("Cannot cast string 'SECRET' to Int64".into())),
            None,
        );
        let told = EngineError::from(error);
        assert_eq!(told.code(), Code::Eval);
        assert!(!told.to_string().contains("SECRET"));
        assert!(told.chain().contains("SECRET"), "the log keeps the cause");
    }
}

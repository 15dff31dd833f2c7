//! What goes wrong, in words a caller can act on: every error of the engine carries one code of a closed table.
//!
//! Inside DataFusion an [`EngineError`] travels as `DataFusionError::External`; [`EngineError::from`] finds it again.
//! Only `flight/status.rs` turns a code into a gRPC status.

mod cause;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use connectors::error::ConnectorError;
use datafusion::common::{SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

pub(crate) use cause::with_causes;

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

    /// What DataFusion says of a statement before it runs, and of which part of it, as the asker wrote it.
    pub fn in_statement(error: DataFusionError, statement: &str) -> Self {
        let place = error.diagnostic().and_then(|diagnostic| written(statement, diagnostic.span?));
        let told = Self::from(error);
        match place {
            Some(place) if !told.sentence.contains(&place) => {
                Self { sentence: format!("{} (at `{place}`)", told.sentence), ..told }
            }
            _ => told,
        }
    }

    /// What went wrong while a statement ran. Whatever kind of error DataFusion makes of it, its text may repeat a value:
    /// an option of a function may be computed from rows.
    pub fn of_running(error: DataFusionError) -> Self {
        ours(error).unwrap_or_else(describe_running)
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

impl From<EngineError> for DataFusionError {
    fn from(error: EngineError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// What DataFusion says before a statement runs.
impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        ours(error).unwrap_or_else(describe)
    }
}

/// Our own error below DataFusion's wrappers, or the error as it was.
fn ours(error: DataFusionError) -> std::result::Result<EngineError, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<EngineError>() {
            Ok(ours) => Ok(*ours),
            Err(other) => Err(DataFusionError::External(other)),
        },
        other => find_engine_error(&other).map(EngineError::duplicate).ok_or(other),
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
            arrow::error::ArrowError::IoError(_, inner) => inner.get_ref()?.downcast_ref(),
            _ => None,
        },
        DataFusionError::IoError(inner) => inner.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// DataFusion's own errors in our codes, before anything runs. Texts of the parser and of a list of the planner's repeat
/// the asker's own statement and may be shown; all others stay in the log.
fn describe(error: DataFusionError) -> EngineError {
    let told = match innermost(&error) {
        DataFusionError::SQL(parser, _) if matches!(parser.as_ref(), ParserError::RecursionLimitExceeded) => {
            EngineError::new(Code::Complexity, "the statement nests deeper than may be read here; ask for less at once")
        }
        DataFusionError::SQL(parser, _) => {
            EngineError::new(Code::Syntax, parser.to_string().trim_start_matches("sql parser error: ").to_string())
        }
        DataFusionError::SchemaError(schema, _) => describe_schema_error(schema),
        DataFusionError::Plan(text) => describe_plan_error(text),
        DataFusionError::NotImplemented(_) => {
            EngineError::new(Code::Unsupported, "a construct of the statement is not offered")
        }
        // A slip of DataFusion's: nothing is broken where an asker writes this.
        DataFusionError::Internal(text) if text.contains("unnest on struct can only be applied at the root level") => {
            EngineError::new(
                Code::Unsupported,
                "`unnest` of a struct makes columns, and stands alone in SELECT: take one of its fields, or unnest it in a \
                 subquery",
            )
        }
        _ => return describe_running(error),
    };
    told.caused_by(error)
}

/// DataFusion's own errors in our codes and sentences, with no word of theirs.
fn describe_running(error: DataFusionError) -> EngineError {
    if let Some(connector) = ConnectorError::find(&error) {
        let (code, sentence) = describe_connector_error(connector);
        return EngineError::new(code, sentence).caused_by(error);
    }
    let (code, sentence) = match innermost(&error) {
        DataFusionError::ResourcesExhausted(_) => (
            Code::Memory,
            "the query needs more memory than this node gives it; aggregate or filter earlier, or ask for less at once",
        ),
        DataFusionError::Execution(text) if text.contains("was not provided a value for execution") => {
            (Code::Type, "a placeholder of the statement has no value; bind as many parameters as it has placeholders")
        }
        // A slip of DataFusion's, as above.
        DataFusionError::Internal(text) if text.contains("accumulator not implemented for type") => {
            (Code::Unsupported, "`min` and `max` are not offered for values of this type; compare a part of them")
        }
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => (Code::SiteUnavailable, UNREADABLE),
        DataFusionError::ArrowError(arrow, _) if is_of_a_file(arrow) => (Code::SiteUnavailable, UNREADABLE),
        DataFusionError::ArrowError(arrow, _) => (Code::Eval, evaluation_sentence(arrow)),
        // What functions make of the libraries below them, such as a pattern that is none, is external; what they make of
        // an option that a row gives is an error of planning or parsing.
        DataFusionError::Execution(_)
        | DataFusionError::External(_)
        | DataFusionError::Plan(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..) => (Code::Eval, "an expression could not be computed for some row"),
        _ => return EngineError::internal(error),
    };
    EngineError::new(code, sentence).caused_by(error)
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
        _ => (Code::SiteUnavailable, UNREADABLE),
    }
}

/// The beginning of a part of a statement, on its first line.
fn written(statement: &str, part: Span) -> Option<String> {
    const SHOWN_MAX: usize = 80;
    let position = |number: u64| usize::try_from(number.saturating_sub(1)).ok();
    let line = statement.lines().nth(position(part.start.line)?)?;
    let (start, end) = (position(part.start.column)?, position(part.end.column)?);
    let length = if part.start.line == part.end.line { end.saturating_sub(start).min(SHOWN_MAX) } else { SHOWN_MAX };
    let shown: String = line.chars().skip(start).take(length).collect();
    Some(shown.trim().to_string()).filter(|shown| !shown.is_empty())
}

const UNREADABLE: &str = "the source of a table cannot be read; its owner's log says why";

/// Whether a reader of files says it, and not the computation over what was read.
fn is_of_a_file(error: &arrow::error::ArrowError) -> bool {
    use arrow::error::ArrowError as E;
    matches!(error, E::ParquetError(_) | E::CsvError(_) | E::JsonError(_) | E::AvroError(_))
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

/// How the planner's sentences begin that name nothing but types, functions, clauses and the asker's own words.
const PLANNER_SAYS: [&str; 57] = [
    "Aggregate functions are not allowed",
    "Argument ",
    "Can not find compatible types",
    "Cannot automatically convert",
    "Cannot coerce ",
    "Cannot create filter with non-boolean predicate",
    "Cannot find column with position",
    "Cannot get result type",
    "Cannot infer common",
    "CASE expression",
    "Column in ",
    "Correlated scalar subquery",
    "Decimal(precision",
    "EXCEPT queries",
    "Expected identifier",
    "expr type",
    "Failed to coerce",
    "FILTER clause",
    "For function '",
    "For SELECT DISTINCT",
    "Function '",
    "HAVING clause",
    "In/Exist/SetComparison subquery",
    "Incompatible inputs for Union",
    "Inconsistent data length across values",
    "Inconsistent data type across values",
    "InSubquery should",
    "INTERSECT queries",
    "INTERSECT/EXCEPT query",
    "Invalid placeholder",
    "Invalid window frame",
    "LIMIT must be",
    "Mismatch: ",
    "Negation only supports",
    "OFFSET must be",
    "Order by column out of bounds",
    "Order by index",
    "OVER and WITHIN GROUP",
    "Placeholder $",
    "Projections require unique expression names",
    "QUALIFY clause",
    "RANGE requires",
    "Scalar subquery should",
    "SELECT * with no tables",
    "SELECT DISTINCT ON",
    "SELECT list is empty",
    "Set comparison subquery",
    "The function ",
    "The window ",
    "There is no window",
    "There isn't a common type",
    "Unary operator",
    "UNION ",
    "Union schemas have different number of fields",
    "Unknown placeholder",
    "Values list cannot",
    "WITH query name",
];

fn describe_plan_error(text: &str) -> EngineError {
    let line = first_line(text);
    let lower = line.to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| lower.starts_with(beginning));
    if begins(&["table '", "table function '", "table not found", "failed to resolve"]) {
        return EngineError::new(Code::NotFound, line);
    }
    if begins(&["invalid function"]) {
        return EngineError::new(Code::Function, line);
    }
    if PLANNER_SAYS.iter().any(|beginning| line.starts_with(beginning)) {
        return EngineError::new(Code::Type, line);
    }
    EngineError::new(Code::Type, "the types, names or options of the statement do not fit together")
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
        assert_eq!(told.for_log(), "EVAL <- DataFusion ArrowError <- Arrow CastError");
    }

    /// What may go wrong while rows are read and computed, in all the ways that an engine and a source have to say it.
    fn failures() -> Vec<DataFusionError> {
        use arrow::error::ArrowError as E;
        use datafusion::error::DataFusionError as D;
        let text = || "SECRET in /srv/data.parquet, thread 'query' panicked".to_string();
        let box_of = || -> Box<dyn std::error::Error + Send + Sync> { text().into() };
        let arrow = [
            E::NotYetImplemented(text()),
            E::ExternalError(box_of()),
            E::CastError(text()),
            E::MemoryError(text()),
            E::ParseError(text()),
            E::SchemaError(text()),
            E::ComputeError(text()),
            E::DivideByZero,
            E::ArithmeticOverflow(text()),
            E::CsvError(text()),
            E::JsonError(text()),
            E::AvroError(text()),
            E::IoError(text(), std::io::Error::other(text())),
            E::IpcError(text()),
            E::InvalidArgumentError(text()),
            E::ParquetError(text()),
            E::CDataInterface(text()),
            E::DictionaryKeyOverflowError,
            E::RunEndIndexOverflowError,
            E::OffsetOverflowError(7),
        ];
        let connector = [
            ConnectorError::Configuration { source_name: text(), faults: vec![] },
            ConnectorError::TableNotFound { table: text() },
            ConnectorError::invalid_data(text(), text(), text()),
            ConnectorError::Changed { location: text() },
            ConnectorError::unavailable(text(), box_of()),
            ConnectorError::Unsupported { feature: text(), advice: text() },
            ConnectorError::Internal { step: "SECRET", cause: D::Execution(text()) },
        ];
        let of_engine = [
            D::ParquetError(Box::new(parquet::errors::ParquetError::General(text()))),
            D::IoError(std::io::Error::other(text())),
            D::Internal(text()),
            D::Configuration(text()),
            D::Execution(text()),
            D::ResourcesExhausted(text()),
            D::External(box_of()),
            D::Substrait(text()),
            D::Context(text(), Box::new(D::Execution(text()))),
            D::Shared(std::sync::Arc::new(D::Execution(text()))),
            D::Collection(vec![D::Execution(text()), D::Internal(text())]),
        ];
        let arrow = arrow.into_iter().map(|error| D::ArrowError(Box::new(error), Some(text())));
        of_engine.into_iter().chain(arrow).chain(connector.into_iter().map(D::from)).collect()
    }

    #[test]
    fn a69_no_word_of_an_engine_or_a_source_leaves() {
        for failure in failures() {
            let what = format!("{failure:?}");
            let told = EngineError::from(failure);
            for foreign in ["SECRET", "/srv", "panicked"] {
                assert!(!told.to_string().contains(foreign), "{what}: {told}");
            }
            assert!(!told.to_string().contains('\n'), "{what}: {told}");
        }
    }

    #[test]
    fn whatever_kind_of_error_a_running_statement_makes_its_words_stay() {
        let encoding =
            || "There is no built-in encoding named 'SECRET', currently supported encodings are: base64".into();
        for error in [
            DataFusionError::Plan(encoding()),
            DataFusionError::NotImplemented("Date part 'SECRET' not supported".into()),
            DataFusionError::Execution("SECRET".into()),
            DataFusionError::Context("SECRET".into(), Box::new(DataFusionError::Plan("Function 'SECRET'".into()))),
        ] {
            let told = EngineError::of_running(error);
            assert_eq!(told.to_string(), "EVAL: an expression could not be computed for some row");
            assert!(!told.for_log().contains("SECRET"), "nor does the log keep them");
        }
        let planned = EngineError::from(DataFusionError::Plan(encoding()));
        assert_eq!(planned.code(), Code::Type);
        assert!(!planned.to_string().contains("SECRET"), "a folded literal may come from anywhere: {planned}");
    }

    #[tokio::test]
    async fn the_part_of_the_statement_is_told_that_does_not_fit() {
        let state = crate::session::options::base_state(&crate::config::Limits::default()).unwrap();
        let told = async |sql: &str| {
            let error = state.create_logical_plan(sql).await.unwrap_err();
            EngineError::in_statement(error, sql).to_string()
        };
        let type_error = told("SELECT a,\n  a + b\nFROM (VALUES ('x', DATE '2020-01-01')) t(a, b)").await;
        assert!(type_error.starts_with("TYPE: Cannot ") && type_error.ends_with(" (at `a + b`)"), "{type_error}");
        let column = told("SELECT nosuch FROM (VALUES ('x')) t(a)").await;
        assert_eq!(column, "NOT_FOUND: there is no column `nosuch` here", "it is named once");
    }

    #[test]
    fn the_planner_s_words_about_types_are_told() {
        let words = "Cannot coerce arithmetic expression Utf8 + Date32 to valid types";
        assert_eq!(EngineError::from(DataFusionError::Plan(words.into())).to_string(), format!("TYPE: {words}"));
    }
}

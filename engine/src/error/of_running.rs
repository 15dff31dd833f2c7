//! What went wrong while a statement ran, in our codes and sentences: a word of DataFusion's or of a source's may be a value.

use connectors::error::ConnectorError;
use datafusion::error::DataFusionError;

use super::of_datafusion::{innermost, ours};
use super::{Code, EngineError};

impl EngineError {
    /// What went wrong while a statement ran. Whatever kind of error DataFusion makes of it, its text may repeat a value:
    /// an option of a function may be computed from rows.
    pub fn of_running(error: DataFusionError) -> Self {
        ours(error).unwrap_or_else(describe_running)
    }
}

/// DataFusion's own errors in our codes and sentences, with no word of theirs.
pub(super) fn describe_running(error: DataFusionError) -> EngineError {
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
        // A slip of DataFusion's: nothing is broken where an asker writes this.
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

const UNREADABLE: &str = "the source of a table cannot be read; its owner's log says why";

/// Whether a reader of files says it, and not the computation over what was read.
fn is_of_a_file(error: &arrow::error::ArrowError) -> bool {
    use arrow::error::ArrowError as E;
    matches!(error, E::ParquetError(_) | E::CsvError(_) | E::JsonError(_) | E::AvroError(_))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

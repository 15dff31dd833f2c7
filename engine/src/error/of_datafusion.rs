//! What becomes of an error of DataFusion's: our own is found again below its wrappers, and any other gets a code of ours.

use datafusion::error::DataFusionError;

use super::EngineError;
use super::of_statement::describe;

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
pub(super) fn ours(error: DataFusionError) -> Result<EngineError, DataFusionError> {
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

pub(super) fn innermost(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => innermost(inner),
        DataFusionError::Shared(inner) => innermost(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, innermost),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn ours_survives_the_wrappers_of_datafusion() {
        let wrapped = DataFusionError::Context(
            "while joining".into(),
            Box::new(DataFusionError::Shared(std::sync::Arc::new(EngineError::new(Code::Stale, "moved on").into()))),
        );
        assert_eq!(EngineError::from(wrapped).code(), Code::Stale);
    }
}

//! What DataFusion says of a statement before it runs: of which part of it, and in its own words where they are the asker's.

use datafusion::common::{SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use super::of_datafusion::innermost;
use super::of_running::describe_running;
use super::{Code, EngineError};

impl EngineError {
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

/// DataFusion's own errors in our codes, before anything runs. Texts of the parser and of a list of the planner's repeat
/// the asker's own statement and may be shown; all others stay in the log.
pub(super) fn describe(error: DataFusionError) -> EngineError {
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

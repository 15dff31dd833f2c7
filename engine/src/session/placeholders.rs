//! Placeholders of parameters, as clients write them: `?`, or `$1`, `$2`, …; one kind in a statement, none left out.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Code, EngineError, Result};

/// The words of a statement, each `?` numbered by its place in the text.
///
/// # Errors
/// `SYNTAX` for what is no SQL, for placeholders of both kinds, of any other kind, or with a gap between their numbers.
pub fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>> {
    let unreadable = |error| datafusion::error::DataFusionError::from(ParserError::from(error));
    let mut tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().map_err(unreadable)?;
    let (mut questions, mut numbers) = (0_usize, BTreeSet::new());
    for token in &mut tokens {
        let Token::Placeholder(written) = &mut token.token else { continue };
        if written == "?" {
            questions += 1;
            *written = format!("${questions}");
            continue;
        }
        let number = written.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        numbers.insert(number.filter(|number| *number > 0).ok_or_else(|| refused("named otherwise"))?);
    }
    if questions > 0 && !numbers.is_empty() {
        return Err(refused("of both kinds in one statement"));
    }
    if numbers.last().is_some_and(|last| *last != numbers.len()) {
        return Err(refused("numbered with a gap"));
    }
    Ok(tokens)
}

fn refused(how: &str) -> EngineError {
    EngineError::new(Code::Syntax, format!("parameters are written `?`, or `$1`, `$2` and so on; these are {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sql: &str) -> String {
        match tokens(sql) {
            Ok(tokens) => tokens.iter().map(|token| token.token.to_string()).collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn question_marks_are_numbered_as_they_stand_in_the_text() {
        let sql = "SELECT trim(BOTH ? FROM ?), '?' /* ? */ FROM t OFFSET ? LIMIT ?";
        assert_eq!(written(sql), "SELECT trim(BOTH $1 FROM $2), '?' /* ? */ FROM t OFFSET $3 LIMIT $4");
        assert_eq!(written("SELECT $2, $1, $2"), "SELECT $2, $1, $2");
    }

    #[test]
    fn other_placeholders_are_refused() {
        for sql in ["SELECT $1, ?", "SELECT $1, $3", "SELECT $0", "SELECT $name", "SELECT ?1", "SELECT $4000000000"] {
            assert!(written(sql).starts_with("SYNTAX: parameters are written"), "{sql}: {}", written(sql));
        }
    }
}

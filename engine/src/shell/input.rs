//! Cuts what the user wrote into steps: statements, at their semicolons, and backslash commands, at their lines.
//!
//! The cuts are made with the tokenizer of the SQL parser that the server uses, so a `;` or a `\` in a string, a quoted
//! name or a comment is what it is there too.

use std::str::CharIndices;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer, TokenizerError};

use super::error::ShellError;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A statement for the server, without its semicolon.
    Statement(String),
    /// A line that begins with a backslash, for the shell.
    Command(String),
}

/// All the steps of a text. The last statement needs no semicolon. A line is a command if it begins with a backslash
/// and no statement is open before it.
pub(super) fn steps(text: &str) -> Result<Vec<Step>, ShellError> {
    let mut steps = Vec::new();
    let mut sql = String::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('\\') && ends_between_statements(&sql) {
            push_statements(&std::mem::take(&mut sql), &mut steps)?;
            steps.push(Step::Command(line.trim().to_owned()));
        } else {
            sql.push_str(line);
        }
    }
    push_statements(&sql, &mut steps)?;
    Ok(steps)
}

/// Whether an entry at the prompt can be run as it stands, or wants another line.
pub(super) fn is_complete(entry: &str) -> bool {
    if entry.trim_start().starts_with('\\') {
        return true;
    }
    match cut(entry) {
        Ok(cuts) => cuts.open.is_none(),
        Err(error) => !wants_more_text(&error),
    }
}

/// The statements of a text: those that a semicolon ends, and the one that is still open.
#[derive(Default)]
struct Cuts {
    closed: Vec<String>,
    open: Option<String>,
}

fn push_statements(sql: &str, steps: &mut Vec<Step>) -> Result<(), ShellError> {
    let cuts = cut(sql).map_err(|error| ShellError::Syntax {
        message: error.message,
        line: error.location.line,
        column: error.location.column,
    })?;
    steps.extend(cuts.closed.into_iter().chain(cuts.open).map(Step::Statement));
    Ok(())
}

fn ends_between_statements(sql: &str) -> bool {
    cut(sql).is_ok_and(|cuts| cuts.open.is_none())
}

fn cut(sql: &str) -> Result<Cuts, TokenizerError> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location()?;
    let mut places = Places::new(sql);
    let mut cuts = Cuts::default();
    let mut start = 0;
    let mut says_something = false;
    for token in tokens {
        match token.token {
            // Comments count as white space here.
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => {
                let end = places.offset_of(token.span.start);
                if says_something {
                    cuts.closed.push(trimmed(sql.get(start..end)));
                }
                start = end + ";".len();
                says_something = false;
            }
            _ => says_something = true,
        }
    }
    if says_something {
        cuts.open = Some(trimmed(sql.get(start..)));
    }
    Ok(cuts)
}

fn trimmed(text: Option<&str>) -> String {
    text.unwrap_or_default().trim().to_owned()
}

/// Whether the tokenizer ran out of text inside a string, a quoted name or a comment. It says so only in words.
fn wants_more_text(error: &TokenizerError) -> bool {
    error.message.contains("EOF") || error.message.contains("Unterminated")
}

/// Finds byte offsets for the tokenizer's lines and columns, which count characters from 1, in ascending order.
pub(super) struct Places<'a> {
    text: &'a str,
    characters: CharIndices<'a>,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, characters: text.char_indices(), line: 1, column: 1 }
    }

    pub(super) fn offset_of(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column) {
            match self.characters.next() {
                Some((_, '\n')) => {
                    self.line += 1;
                    self.column = 1;
                }
                Some(_) => self.column += 1,
                None => return self.text.len(),
            }
        }
        self.characters.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let steps: Vec<String> = steps(text)
            .unwrap()
            .into_iter()
            .map(|step| match step {
                Step::Statement(sql) => format!("sql {sql}"),
                Step::Command(line) => format!("command {line}"),
            })
            .collect();
        assert_eq!(steps, expect, "{text}");
    }

    #[test]
    fn statements_end_at_semicolons() {
        check("", &[]);
        check(" ; ;\n;", &[]);
        check("SELECT 1", &["sql SELECT 1"]);
        check("SELECT 1;\nSELECT 2 ;", &["sql SELECT 1", "sql SELECT 2"]);
        check("SELECT 1;;SELECT 2", &["sql SELECT 1", "sql SELECT 2"]);
    }

    #[test]
    fn semicolons_elsewhere_are_text() {
        check("SELECT ';', 'it''s;'; SELECT 2", &["sql SELECT ';', 'it''s;'", "sql SELECT 2"]);
        check("SELECT \"a;b\" FROM t;", &["sql SELECT \"a;b\" FROM t"]);
        check("SELECT 1 -- one; two\n; SELECT 2", &["sql SELECT 1 -- one; two", "sql SELECT 2"]);
        check("SELECT /* ; /* ; */ */ 1;", &["sql SELECT /* ; /* ; */ */ 1"]);
        check("SELECT $$;$$; SELECT 2", &["sql SELECT $$;$$", "sql SELECT 2"]);
    }

    #[test]
    fn comments_alone_are_no_statement() {
        check("-- nothing\n/* at all */;", &[]);
        check("SELECT 1; -- done", &["sql SELECT 1"]);
    }

    #[test]
    fn places_are_characters_not_bytes() {
        check(
            "SELECT '华东;' AS 区域;\nSELECT '𝒳'; SELECT 3",
            &["sql SELECT '华东;' AS 区域", "sql SELECT '𝒳'", "sql SELECT 3"],
        );
        check("SELECT 1;\r\nSELECT 2;\r\n", &["sql SELECT 1", "sql SELECT 2"]);
    }

    #[test]
    fn commands_stand_between_statements() {
        check("\\dt", &["command \\dt"]);
        check("SELECT 1;\n  \\timing on \nSELECT 2", &["sql SELECT 1", "command \\timing on", "sql SELECT 2"]);
        check("SELECT '\n\\dt\n';", &["sql SELECT '\n\\dt\n'"]);
        check("-- list\n\\l\n\\dn", &["command \\l", "command \\dn"]);
    }

    #[test]
    fn an_unfinished_string_is_named_with_its_place() {
        let error = steps("SELECT 1;\nSELECT 'a").unwrap_err().to_string();
        assert_eq!(error, "SYNTAX: Unterminated string literal at line 2, column 8");
    }

    #[test]
    fn the_prompt_waits_for_the_end_of_a_statement() {
        for complete in ["", "  ", "\\d flights", "SELECT 1;", "SELECT 1; -- x", "-- only a comment", "SELECT 1;\n"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT 1; SELECT 2", "SELECT 'a;", "SELECT \"a;", "SELECT 1 /* ;", "SELECT $$;"] {
            assert!(!is_complete(open), "{open}");
        }
    }
}

//! What Tab offers: the shell's commands, names from the catalog, columns of the tables that the statement names, and SQL's words.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use reedline::{Completer, CompletionResult, Span, Suggestion};

use crate::shell::command::NAMES;
use crate::shell::names::{Names, SharedNames};

/// Suggestions that are shown at once.
const SUGGESTIONS_MAX: usize = 200;

/// SQL's words that a statement is mostly made of.
const WORDS: &[&str] = &[
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CROSS",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PURPOSE",
    "RIGHT",
    "SELECT",
    "SET",
    "SHOW",
    "SUM",
    "TABLES",
    "THEN",
    "UNION",
    "USE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Completes at the prompt.
pub(super) struct NameCompleter {
    names: SharedNames,
}

impl NameCompleter {
    pub(super) fn new(names: SharedNames) -> Self {
        Self { names }
    }
}

impl Completer for NameCompleter {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let (start, values) = completions(&self.names.lock(), line, position);
        let suggestion = |value: String| Suggestion {
            append_whitespace: !value.ends_with('.'),
            span: Span { start, end: position },
            value,
            ..Suggestion::default()
        };
        CompletionResult::fresh(values.into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

/// Where what is completed begins, and what may stand there.
fn completions(names: &Names, line: &str, position: usize) -> (usize, Vec<String>) {
    let before = line.get(..position).unwrap_or_default();
    if before.starts_with('\\') && !before.contains(char::is_whitespace) {
        let begun = NAMES.iter().filter(|name| name.starts_with(before) && **name != before);
        return (0, begun.map(|&name| name.to_owned()).collect());
    }
    let start = before.rfind(|letter: char| !is_of_name(letter)).map_or(0, |at| at + char_len(before, at));
    let written = before.get(start..).unwrap_or_default();
    let mut found = match written.rsplit_once('.') {
        Some((qualifier, _)) => qualified(names, line, qualifier),
        None => unqualified(names, line, written),
    };
    found.retain(|value| is_begun_by(value, written) && value != written);
    found.sort();
    found.dedup();
    found.truncate(SUGGESTIONS_MAX);
    (start, found)
}

fn char_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | '"' | '*')
}

fn is_begun_by(value: &str, written: &str) -> bool {
    let mut letters = value.chars();
    written.chars().all(|letter| letters.next().is_some_and(|own| own.to_lowercase().eq(letter.to_lowercase())))
}

/// The next part after `site.` or `site.source.`, or the columns of a table or of its alias.
fn qualified(names: &Names, line: &str, qualifier: &str) -> Vec<String> {
    let mut found: Vec<String> = names.tables.keys().filter_map(|table| next_part(table, qualifier)).collect();
    let tables = tables_in(names, line);
    let meant = tables.iter().filter(|(alias, table)| alias == qualifier || table == qualifier);
    for (_, table) in meant {
        found.extend(columns(names, table).map(|column| format!("{qualifier}.{column}")));
    }
    found
}

/// `bts.ontime.` of `bts.ontime.flights` after `bts`; `bts.ontime.flights` after `bts.ontime`.
fn next_part(table: &str, qualifier: &str) -> Option<String> {
    let rest = parts(table);
    let written: Vec<String> = parts(qualifier);
    if written.len() >= rest.len() || !rest.iter().zip(&written).all(|(part, own)| part == own) {
        return None;
    }
    let shown: Vec<String> = rest.iter().take(written.len() + 1).map(|part| as_written(part)).collect();
    let is_whole = shown.len() == rest.len();
    Some(format!("{}{}", shown.join("."), if is_whole { "" } else { "." }))
}

fn unqualified(names: &Names, line: &str, written: &str) -> Vec<String> {
    if written.is_empty() {
        return Vec::new();
    }
    let is_lower = written.starts_with(char::is_lowercase);
    let word = |word: &&str| if is_lower { word.to_lowercase() } else { (*word).to_owned() };
    let mut found: Vec<String> = WORDS.iter().map(word).collect();
    let sites =
        names.tables.keys().filter_map(|table| parts(table).first().map(|site| format!("{}.", as_written(site))));
    found.extend(sites);
    for (_, table) in tables_in(names, line) {
        found.extend(columns(names, &table));
    }
    found
}

fn columns<'a>(names: &'a Names, table: &str) -> impl Iterator<Item = String> + 'a {
    names.tables.get(table).into_iter().flatten().map(|column| as_written(column))
}

/// The tables that a statement names, each with the alias that follows it, or with its own name for one.
fn tables_in(names: &Names, line: &str) -> Vec<(String, String)> {
    let tokens = Tokenizer::new(&GenericDialect {}, line).tokenize().unwrap_or_default();
    let tokens: Vec<&Token> = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if !is_word(token, "FROM") && !is_word(token, "JOIN") && **token != Token::Comma {
            continue;
        }
        let mut path = Vec::new();
        while let Some(Token::Word(word)) = tokens.get(at) {
            path.push(word.value.clone());
            at += 1;
            if tokens.get(at).is_some_and(|token| **token == Token::Period) {
                at += 1;
            } else {
                break;
            }
        }
        let table = path.join(".");
        if !names.tables.contains_key(&table) {
            continue;
        }
        let is_named = tokens.get(at).is_some_and(|token| is_word(token, "AS"));
        at += usize::from(is_named);
        match tokens.get(at) {
            Some(Token::Word(alias)) if is_named || alias.keyword == Keyword::NoKeyword => {
                found.push((alias.value.clone(), table.clone()));
            }
            _ => found.extend(path.last().map(|name| (name.clone(), table.clone()))),
        }
    }
    found
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// The parts of a dotted name, without quotes.
fn parts(name: &str) -> Vec<String> {
    name.split('.').map(|part| part.trim_matches('"').to_owned()).collect()
}

/// A name as a statement writes it.
fn as_written(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let table =
            |name: &str, columns: &[&str]| (name.to_owned(), columns.iter().map(|&name| name.to_owned()).collect());
        let tables = [
            table("bts.ontime.flights", &["carrier", "dest", "Odd Name"]),
            table("bts.ontime.airlines", &["carrier", "name"]),
            table("south.ledger.户口", &["编号"]),
        ];
        Names { tables: tables.into_iter().collect() }
    }

    /// `|` is the cursor.
    fn check(line: &str, expect: &[&str]) {
        let position = line.find('|').unwrap();
        let line = line.replace('|', "");
        let (start, found) = completions(&names(), &line, position);
        let whole: Vec<String> = found.iter().map(|value| format!("{}{value}", line.get(..start).unwrap())).collect();
        assert_eq!(whole, expect, "{line}");
    }

    #[test]
    fn commands() {
        check("\\dn|", &[]);
        check("\\ti|", &["\\timing"]);
        check("\\p|", &["\\pager", "\\policy", "\\purpose"]);
    }

    #[test]
    fn names_part_by_part() {
        check("SELECT * FROM bt|", &["SELECT * FROM bts."]);
        check("SELECT * FROM bts.|", &["SELECT * FROM bts.ontime."]);
        check("SELECT * FROM bts.ontime.f|", &["SELECT * FROM bts.ontime.flights"]);
        check("SELECT * FROM south.ledger.|", &["SELECT * FROM south.ledger.\"户口\""]);
        check("\\d bts.ontime.a|", &["\\d bts.ontime.airlines"]);
        check("SELECT * FROM nowhere.|", &[]);
    }

    #[test]
    fn columns_of_the_tables_that_are_named() {
        check("SELECT car| FROM bts.ontime.flights", &["SELECT carrier"]);
        check("SELECT f.| FROM bts.ontime.flights f", &["SELECT f.\"Odd Name\"", "SELECT f.carrier", "SELECT f.dest"]);
        check("SELECT a.n| FROM bts.ontime.flights AS f JOIN bts.ontime.airlines AS a", &["SELECT a.name"]);
        check("SELECT flights.d| FROM bts.ontime.flights", &["SELECT flights.dest"]);
    }

    #[test]
    fn words_in_the_case_that_is_typed() {
        check("SELE|", &["SELECT"]);
        check("sele|", &["select"]);
        check("SELECT 1 |", &[]);
        check("SELECT '编|", &[]);
    }
}

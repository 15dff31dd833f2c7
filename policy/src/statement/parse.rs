//! Texts → statements: one at a door, many in a file; and whether a text at a door is of this language at all.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::cursor::{Cursor, Parsed};
use super::{Change, Show, Statement, change, grant};
use crate::error::{PolicyError, Result};

/// Bytes of a text of statements.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What is wrong in a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// A sentence for the author.
    pub message: String,
}

/// A statement of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// The statement.
    pub statement: Statement,
}

impl Statement {
    /// Reads one statement, with or without `;` at its end. `site` is the name of the site that it is for.
    ///
    /// # Errors
    /// [`PolicyError::Syntax`] says what was expected, or what is not known, and where.
    pub fn parse(text: &str, site: &str) -> Result<Self> {
        one(text, site).map_err(|Fault { line, message }| match line {
            1 => PolicyError::Syntax(message),
            _ => PolicyError::Syntax(format!("{message}, on line {line}")),
        })
    }
}

/// Reads the statements of a file: separated by `;`, with `--` and `/* */` comments.
///
/// # Errors
/// One fault for each statement that cannot be read.
pub fn parse_all(text: &str, site: &str) -> Result<Vec<Located>, Vec<Fault>> {
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    for statement in each(text, site) {
        match statement {
            Ok(statement) => read.push(statement),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// The statements of a file, each read or not.
pub(crate) fn each(text: &str, site: &str) -> Vec<Result<Located, Fault>> {
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(fault) => return vec![Err(fault)],
    };
    let located = |tokens: &[TokenWithSpan]| {
        let line = tokens.first()?.span.start.line;
        Some(statement(tokens, site).map(|statement| Located { line, statement }))
    };
    tokens.split(|token| token.token == Token::SemiColon).filter_map(located).collect()
}

/// The site that a text names first, before a schema or a table of its.
pub(crate) fn site_named(text: &str) -> Option<String> {
    let tokens = tokens(text).ok()?;
    (0..tokens.len()).find_map(|at| Cursor::new(tokens.get(at..)?, "").site())
}

/// Whether a text can be read to its end as a statement of this language, whichever site it is for.
pub fn can_be_read(text: &str) -> bool {
    one(text, &site_named(text).unwrap_or_default()).is_ok()
}

/// Whether a text at a door is of this language, by its first words only; what follows may still be wrong.
/// `EXPLAIN POLICY` is not: it carries a query.
pub fn is_policy_statement(text: &str) -> bool {
    let mut tokens = Vec::new();
    // A text that sqlparser cannot read to its end is told by the words before that place.
    let _ = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens);
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    let cursor = Cursor::new(&tokens, "");
    OPENINGS.iter().any(|words| cursor.is(words)) || alters_policy(cursor)
}

/// How statements begin.
const OPENINGS: &[&[&str]] = &[
    &["CREATE", "TAG"],
    &["CREATE", "PURPOSE"],
    &["CREATE", "POLICY"],
    &["DROP", "TAG"],
    &["DROP", "PURPOSE"],
    &["DROP", "POLICY"],
    &["GRANT"],
    &["REVOKE"],
    &["VALID", "UNTIL"],
    &["VALID", "ALWAYS"],
    &["SHOW", "POLICIES"],
    &["SHOW", "GRANTS"],
    &["SHOW", "TAGS"],
    &["SHOW", "PURPOSES"],
    &["SHOW", "POLICY", "HISTORY"],
    &["SHOW", "EFFECTIVE", "POLICY"],
];

/// Whether this is an `ALTER TABLE` about tags or accepted columns, and not the database's.
fn alters_policy(mut cursor: Cursor<'_>) -> bool {
    if !cursor.accept(&["ALTER", "TABLE"]) {
        return false;
    }
    while matches!(cursor.peek(), Some(Token::Word(_))) {
        cursor.next();
        if !cursor.accept_token(&Token::Period) {
            break;
        }
    }
    if cursor.accept(&["ALTER", "COLUMN"]) {
        cursor.next();
        return cursor.is(&["SET", "TAG"]) || cursor.is(&["UNSET", "TAG"]);
    }
    change::ALTERATIONS.iter().any(|words| cursor.is(words))
}

fn one(text: &str, site: &str) -> Parsed<Statement> {
    let mut tokens = tokens(text)?;
    tokens.pop_if(|token| token.token == Token::SemiColon);
    statement(&tokens, site)
}

/// The tokens of a text without white space and comments.
fn tokens(text: &str) -> Parsed<Vec<TokenWithSpan>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault { line: 1, message: format!("a text of statements has at most {TEXT_BYTES_MAX} bytes") });
    }
    let mut tokens = Tokenizer::new(&GenericDialect {}, text)
        .tokenize_with_location()
        .map_err(|e| Fault { line: e.location.line.max(1), message: e.message })?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    Ok(tokens)
}

fn statement(tokens: &[TokenWithSpan], site: &str) -> Parsed<Statement> {
    let mut cursor = Cursor::new(tokens, site);
    let statement = match cursor.is(&["SHOW"]) {
        true => Statement::Show(show(&mut cursor)?),
        false => Statement::Change(changing(&mut cursor)?),
    };
    cursor.expect_end()?;
    Ok(statement)
}

fn changing(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    if cursor.accept(&["CREATE"]) {
        change::create(cursor)
    } else if cursor.accept(&["DROP"]) {
        change::drop(cursor)
    } else if cursor.accept(&["ALTER", "TABLE"]) {
        change::alter_table(cursor)
    } else if cursor.accept(&["GRANT"]) {
        grant::grant(cursor)
    } else if cursor.accept(&["REVOKE"]) {
        grant::revoke(cursor)
    } else if cursor.accept(&["VALID"]) {
        change::valid(cursor)
    } else {
        Err(cursor.expected("a policy statement (CREATE, DROP, ALTER TABLE, GRANT, REVOKE, VALID or SHOW)"))
    }
}

fn show(cursor: &mut Cursor<'_>) -> Parsed<Show> {
    cursor.expect(&["SHOW"])?;
    let plain = [
        (&["POLICIES"][..], Show::Policies),
        (&["GRANTS"], Show::Grants),
        (&["TAGS"], Show::Tags),
        (&["PURPOSES"], Show::Purposes),
        (&["POLICY", "HISTORY"], Show::History),
    ];
    if let Some((_, show)) = plain.into_iter().find(|(words, _)| cursor.accept(words)) {
        return Ok(show);
    }
    if !cursor.accept(&["EFFECTIVE", "POLICY", "ON"]) {
        return Err(cursor.expected("POLICIES, GRANTS, TAGS, PURPOSES, POLICY HISTORY or EFFECTIVE POLICY ON"));
    }
    let table = cursor.table()?;
    cursor.expect(&["FOR"])?;
    let party = grant::party(cursor)?;
    let purpose = cursor.accept(&["PURPOSE"]).then(|| cursor.name("a purpose's name")).transpose()?;
    Ok(Show::Effective { table, party, purpose })
}

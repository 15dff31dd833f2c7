//! Reads sqlparser's tokens one after the other: words, names, texts, numbers, lists. The parsers of statements use it.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::moment::Moment;
use super::parse::Fault;
use crate::resource::{Resource, TableName};
use crate::value::{Decimal, Value};

/// Characters of a token that a fault repeats.
const FOUND_CHARS_MAX: usize = 60;

/// What reading one part of a statement gives.
pub(super) type Parsed<T> = Result<T, Fault>;

/// A place in one statement's tokens, white space and comments left out.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    tokens: &'a [TokenWithSpan],
    site: &'a str,
    line: u64,
}

impl<'a> Cursor<'a> {
    /// The beginning of `tokens`, which are one statement.
    pub(super) fn new(tokens: &'a [TokenWithSpan], site: &'a str) -> Self {
        Self { tokens, site, line: tokens.first().map_or(1, |token| token.span.start.line) }
    }

    /// The next token, if there is one.
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.first().map(|token| &token.token)
    }

    /// Steps over the next token.
    pub(super) fn next(&mut self) -> Option<&'a TokenWithSpan> {
        let (first, rest) = self.tokens.split_first()?;
        (self.tokens, self.line) = (rest, first.span.start.line);
        Some(first)
    }

    /// Steps over the tokens up to the `)` that closes what is open, which stays, and gives them.
    pub(super) fn up_to_closing(&mut self) -> &'a [TokenWithSpan] {
        let mut depth = 0_usize;
        let closing = |token: &TokenWithSpan| match token.token {
            Token::RParen if depth == 0 => true,
            Token::RParen => {
                depth -= 1;
                false
            }
            Token::LParen => {
                depth += 1;
                false
            }
            _ => false,
        };
        let end = self.tokens.iter().position(closing).unwrap_or(self.tokens.len());
        let (inside, rest) = self.tokens.split_at(end);
        self.tokens = rest;
        inside
    }

    /// A fault at this place.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        let line = self.tokens.first().map_or(self.line, |token| token.span.start.line);
        Fault { line, message: message.into() }
    }

    /// The fault that something else was expected here.
    pub(super) fn expected(&self, what: &str) -> Fault {
        match self.peek() {
            Some(token) => {
                let found: String = token.to_string().chars().take(FOUND_CHARS_MAX).collect();
                self.fault(format!("expected {what}, found `{found}`"))
            }
            None => self.fault(format!("expected {what}, found the end of the statement")),
        }
    }

    /// Whether the next words are these, unquoted.
    pub(super) fn is(&self, words: &[&str]) -> bool {
        self.tokens.len() >= words.len() && self.tokens.iter().zip(words).all(|(token, word)| is_word(token, word))
    }

    /// Steps over these words if they are next.
    pub(super) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.is(words);
        if found {
            words.iter().for_each(|_| {
                self.next();
            });
        }
        found
    }

    /// Steps over these words, which must be next.
    pub(super) fn expect(&mut self, words: &[&str]) -> Parsed<()> {
        if self.accept(words) { Ok(()) } else { Err(self.expected(&words.join(" "))) }
    }

    /// Steps over a token if it is next.
    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.next();
        }
        found
    }

    /// Steps over a token, which must be next.
    pub(super) fn expect_token(&mut self, token: &Token) -> Parsed<()> {
        if self.accept_token(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// Nothing may follow.
    pub(super) fn expect_end(&self) -> Parsed<()> {
        if self.tokens.is_empty() { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }

    /// `a, b, c`.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( … )`.
    pub(super) fn parenthesised<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.expect_token(&Token::LParen)?;
        let inside = inside(self)?;
        self.expect_token(&Token::RParen)?;
        Ok(inside)
    }

    /// `(a, b)`: names, none twice.
    pub(super) fn names(&mut self) -> Parsed<Vec<String>> {
        let names = self.parenthesised(|cursor| cursor.list(|cursor| cursor.name("a column's name")))?;
        match first_repeated(&names) {
            Some(name) => Err(self.fault(format!("`{name}` is named twice"))),
            None => Ok(names),
        }
    }

    /// A name: as written in quotes, otherwise folded to lower case as everywhere in SQL here.
    pub(super) fn name(&mut self, what: &str) -> Parsed<String> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.expected(what)) };
        if word.value.is_empty() {
            return Err(self.fault(format!("expected {what}, found an empty name")));
        }
        self.next();
        Ok(folded(word))
    }

    /// `source.table` or `site.source.table`; the site must be this one.
    pub(super) fn table(&mut self) -> Parsed<TableName> {
        let mut names = self.path("a table as source.table")?;
        let (table, source) = (names.pop(), names.pop());
        match (source, table, names.as_slice()) {
            (Some(source), Some(table), []) => Ok(TableName { source, table }),
            (Some(source), Some(table), [site]) if *site == self.site => Ok(TableName { source, table }),
            (Some(_), Some(_), [site]) => Err(self.elsewhere(site)),
            _ => Err(self.fault("a table is written source.table, or site.source.table")),
        }
    }

    /// `SCHEMA source` or `TABLE source.table`.
    pub(super) fn resource(&mut self) -> Parsed<Resource> {
        if self.accept(&["TABLE"]) {
            return Ok(Resource::Table(self.table()?));
        }
        if !self.accept(&["SCHEMA"]) {
            return Err(self.expected("SCHEMA or TABLE"));
        }
        let mut names = self.path("a schema's name")?;
        match (names.pop(), names.as_slice()) {
            (Some(source), []) => Ok(Resource::Schema(source)),
            (Some(source), [site]) if *site == self.site => Ok(Resource::Schema(source)),
            (Some(_), [site]) => Err(self.elsewhere(site)),
            _ => Err(self.fault("a schema is written source, or site.source")),
        }
    }

    /// The site, where the next words are `TABLE site.source.table` or `SCHEMA site.source`.
    pub(super) fn site(mut self) -> Option<String> {
        let names = if self.accept(&["TABLE"]) {
            3
        } else if self.accept(&["SCHEMA"]) {
            2
        } else {
            return None;
        };
        let path = self.path("a name").ok()?;
        if path.len() == names { path.into_iter().next() } else { None }
    }

    /// `a.b.c`.
    fn path(&mut self, what: &str) -> Parsed<Vec<String>> {
        let mut names = vec![self.name(what)?];
        while self.accept_token(&Token::Period) {
            names.push(self.name(what)?);
        }
        Ok(names)
    }

    fn elsewhere(&self, site: &str) -> Fault {
        self.fault(format!(
            "`{site}` is another site; this is `{}`, and policy is written where the data is",
            self.site
        ))
    }

    /// `'text'`.
    pub(super) fn text(&mut self, what: &str) -> Parsed<String> {
        let Some(Token::SingleQuotedString(text)) = self.peek() else { return Err(self.expected(what)) };
        self.next();
        Ok(text.clone())
    }

    /// A whole number, not negative.
    pub(super) fn whole(&mut self, what: &str) -> Parsed<u64> {
        let Some(Token::Number(digits, _)) = self.peek() else { return Err(self.expected(what)) };
        let number = digits.parse().map_err(|_| self.expected(what))?;
        self.next();
        Ok(number)
    }

    /// A value: a number, a text, TRUE or FALSE.
    pub(super) fn value(&mut self) -> Parsed<Value> {
        if self.accept(&["TRUE"]) {
            return Ok(Value::Boolean(true));
        }
        if self.accept(&["FALSE"]) {
            return Ok(Value::Boolean(false));
        }
        if let Some(Token::SingleQuotedString(text)) = self.peek() {
            self.next();
            return Ok(Value::Text(text.clone()));
        }
        let sign = if self.accept_token(&Token::Minus) { "-" } else { "" };
        let Some(Token::Number(digits, _)) = self.peek() else {
            return Err(self.expected("a value (a number, a text in single quotes, TRUE or FALSE)"));
        };
        let value = number(sign, digits).map_err(|message| self.fault(message))?;
        self.next();
        Ok(value)
    }

    /// A moment: `'2026-01-01'`, RFC 3339, or `'2026-01-01 12:00:00'`, which is UTC.
    pub(super) fn moment(&mut self) -> Parsed<Moment> {
        let start = *self;
        let text = self.text("a date in single quotes")?;
        Moment::parse(&text).map_err(|message| start.fault(message))
    }
}

/// Whether a token is this word, unquoted.
fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// A name as it is meant.
pub(super) fn folded(word: &Word) -> String {
    match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_ascii_lowercase(),
    }
}

/// A number as a value: whole numbers of 64 bits, all others by their digits.
pub(super) fn number(sign: &str, digits: &str) -> Result<Value, String> {
    let Some((whole, fraction)) = digits.split_once('.') else {
        return match format!("{sign}{digits}").parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Err(format!(
                "the number `{sign}{digits}` has more than 64 bits; write it with a point: {sign}{digits}.0"
            )),
            Err(_) => Err(format!("`{sign}{digits}` is not offered; write the number with digits and a point only")),
        };
    };
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || fraction.is_empty() {
        return Err(format!("`{sign}{digits}` is not offered; write the number as digits, a point, digits"));
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(Value::Decimal(Decimal { digits: format!("{sign}{whole}.{fraction}") }))
}

/// The first name that stands twice.
pub(super) fn first_repeated(names: &[String]) -> Option<&String> {
    let mut seen = std::collections::BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

//! The settings of a session: its purpose, and the catalog and schema of short names. `SET purpose = 'x'`, `SET purpose TO x`,
//! `RESET purpose`, `SHOW purpose`, the same of `catalog` and `schema`, and `USE catalog.schema`; every other SET is refused with
//! the other classes of statements.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Longer texts are no setting.
const SETTING_BYTES_MAX: usize = 4 << 10;

/// What a statement does with the session's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Something with one of them.
    Of(Variable, Change),
    /// `USE`: a catalog, a schema of the current one, or a catalog and a schema.
    Use(Vec<String>),
}

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// What the session asks for.
    Purpose,
    /// The catalog of names without one.
    Catalog,
    /// The schema of names without one.
    Schema,
}

/// What is done with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `SET`: this one from now on.
    Set(String),
    /// `RESET`: the user's, or the node's, own.
    Reset,
    /// `SHOW`.
    Show,
}

impl Variable {
    const ALL: [Self; 3] = [Self::Purpose, Self::Catalog, Self::Schema];

    /// Its name in statements and session options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Purpose => "purpose",
            Self::Catalog => "catalog",
            Self::Schema => "schema",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }

    fn of(token: &Token) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| is(token, variable.name()))
    }
}

impl Setting {
    /// The setting that a statement is; `None` for every other statement.
    pub fn read(sql: &str) -> Option<Self> {
        match tokens(sql, SETTING_BYTES_MAX)?.as_slice() {
            [set, session, rest @ ..] if is(set, "SET") && is(session, "SESSION") => read_set(rest),
            [set, rest @ ..] if is(set, "SET") => read_set(rest),
            [reset, name] if is(reset, "RESET") => Some(Self::Of(Variable::of(name)?, Change::Reset)),
            [show, name] if is(show, "SHOW") => Some(Self::Of(Variable::of(name)?, Change::Show)),
            [word, rest @ ..] if is(word, "USE") => read_use(rest),
            _ => None,
        }
    }
}

/// The words of a statement of at most `bytes_max`, without what stands between them and at its end.
pub(super) fn tokens(sql: &str, bytes_max: usize) -> Option<Vec<Token>> {
    if sql.len() > bytes_max {
        return None;
    }
    let mut tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().ok()?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    while tokens.last() == Some(&Token::SemiColon) {
        tokens.pop();
    }
    Some(tokens)
}

fn read_set(tokens: &[Token]) -> Option<Setting> {
    let [name, to, value] = tokens else { return None };
    let variable = Variable::of(name)?;
    if !(*to == Token::Eq || is(to, "TO")) {
        return None;
    }
    let change = match value {
        Token::SingleQuotedString(text) => Change::Set(text.clone()),
        value if is(value, "DEFAULT") => Change::Reset,
        Token::Word(word) => Change::Set(word.value.clone()),
        _ => return None,
    };
    Some(Setting::Of(variable, change))
}

/// Names as in a query: in lower case without quotes.
fn read_use(tokens: &[Token]) -> Option<Setting> {
    let part = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
        Token::Word(word) => Some(word.value.to_ascii_lowercase()),
        _ => None,
    };
    match tokens {
        [one] => Some(Setting::Use(vec![part(one)?])),
        [catalog, Token::Period, schema] => Some(Setting::Use(vec![part(catalog)?, part(schema)?])),
        _ => None,
    }
}

/// Whether the token is this word, in whatever case and without quotes.
pub(super) fn is(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_purpose_is_set_reset_and_shown() {
        let of = |change| Some(Setting::Of(Variable::Purpose, change));
        let set = |purpose: &str| of(Change::Set(purpose.to_string()));
        for (sql, expected) in [
            ("SET purpose = 'research'", set("research")),
            ("set Purpose to Research ;", set("Research")),
            ("/* x */ SET SESSION purpose TO \"two words\" -- y", set("two words")),
            ("SET purpose = 'it''s'", set("it's")),
            ("SET purpose = 'DEFAULT'", set("DEFAULT")),
            ("SET purpose TO DEFAULT", of(Change::Reset)),
            ("RESET purpose;", of(Change::Reset)),
            ("show PURPOSE", of(Change::Show)),
        ] {
            assert_eq!(Setting::read(sql), expected, "{sql}");
        }
    }

    #[test]
    fn short_names_have_a_place() {
        let used = |parts: &[&str]| Some(Setting::Use(parts.iter().map(ToString::to_string).collect()));
        for (sql, expected) in [
            ("USE North;", used(&["north"])),
            ("use north . \"Civil\"", used(&["north", "Civil"])),
            ("SET catalog = 'north'", Some(Setting::Of(Variable::Catalog, Change::Set("north".to_string())))),
            ("RESET schema", Some(Setting::Of(Variable::Schema, Change::Reset))),
            ("USE a.b.c", None),
            ("USE 'north'", None),
            ("USE", None),
        ] {
            assert_eq!(Setting::read(sql), expected, "{sql}");
        }
    }

    #[test]
    fn nothing_else_is_a_setting() {
        for sql in [
            "SET purpose",
            "SET purpose = 'a', 'b'",
            "SET purpose = 1",
            "SET purposes = 'a'",
            "SET datafusion.explain.show_statistics = true",
            "SET purpose = 'a'; SELECT 1",
            "SET \"purpose\" = 'a'",
            "SHOW PURPOSES",
            "RESET ALL",
            "SELECT purpose",
            "'",
            "",
        ] {
            assert_eq!(Setting::read(sql), None, "{sql}");
        }
        assert_eq!(Setting::read(&format!("SET purpose = '{}'", "x".repeat(SETTING_BYTES_MAX))), None);
    }
}

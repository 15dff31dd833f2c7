//! The one setting of a session: its purpose. `SET purpose = 'x'`, `SET purpose TO x`, `RESET purpose`, `SHOW purpose`;
//! every other SET is refused with the other classes of statements.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Longer texts are no setting.
const SETTING_BYTES_MAX: usize = 4 << 10;

/// What a statement does with the session's purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `SET`: this one from now on.
    Set(String),
    /// `RESET`: the user's default.
    Reset,
    /// `SHOW`.
    Show,
}

impl Setting {
    /// The setting that a statement is; `None` for every other statement.
    pub fn read(sql: &str) -> Option<Self> {
        if sql.len() > SETTING_BYTES_MAX {
            return None;
        }
        let mut tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().ok()?;
        tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
        while tokens.last() == Some(&Token::SemiColon) {
            tokens.pop();
        }
        match tokens.as_slice() {
            [set, session, rest @ ..] if is(set, "SET") && is(session, "SESSION") => read_set(rest),
            [set, rest @ ..] if is(set, "SET") => read_set(rest),
            [reset, purpose] if is(reset, "RESET") && is(purpose, "PURPOSE") => Some(Self::Reset),
            [show, purpose] if is(show, "SHOW") && is(purpose, "PURPOSE") => Some(Self::Show),
            _ => None,
        }
    }
}

fn read_set(tokens: &[Token]) -> Option<Setting> {
    let [purpose, to, value] = tokens else { return None };
    if !is(purpose, "PURPOSE") || !(*to == Token::Eq || is(to, "TO")) {
        return None;
    }
    match value {
        Token::SingleQuotedString(text) => Some(Setting::Set(text.clone())),
        value if is(value, "DEFAULT") => Some(Setting::Reset),
        Token::Word(word) => Some(Setting::Set(word.value.clone())),
        _ => None,
    }
}

/// Whether the token is this word, in whatever case and without quotes.
fn is(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_purpose_is_set_reset_and_shown() {
        let set = |purpose: &str| Some(Setting::Set(purpose.to_string()));
        for (sql, expected) in [
            ("SET purpose = 'research'", set("research")),
            ("set Purpose to Research ;", set("Research")),
            ("/* x */ SET SESSION purpose TO \"two words\" -- y", set("two words")),
            ("SET purpose = 'it''s'", set("it's")),
            ("SET purpose = 'DEFAULT'", set("DEFAULT")),
            ("SET purpose TO DEFAULT", Some(Setting::Reset)),
            ("RESET purpose;", Some(Setting::Reset)),
            ("show PURPOSE", Some(Setting::Show)),
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

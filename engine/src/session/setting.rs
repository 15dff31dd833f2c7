//! The settings of a session: its purpose, the catalog and schema of short names, how long a statement may run, and the time zone,
//! which is UTC. `SET purpose = 'x'`, `SET purpose TO x`, `RESET purpose`, `SHOW purpose`, the same of `catalog`, `schema`,
//! `statement_timeout` and `time_zone` (also `TIME ZONE`), and `USE catalog.schema`; every other SET is refused with the other
//! classes of statements.

use std::time::Duration;

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
    /// How long a statement may run: the session's own share of the node's limit.
    StatementTimeout,
    /// The time zone, of which there is one.
    TimeZone,
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
    const ALL: [Self; 5] = [Self::Purpose, Self::Catalog, Self::Schema, Self::StatementTimeout, Self::TimeZone];

    /// Its name in statements and session options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Purpose => "purpose",
            Self::Catalog => "catalog",
            Self::Schema => "schema",
            Self::StatementTimeout => "statement_timeout",
            Self::TimeZone => "time_zone",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }

    fn of(token: &Token) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|variable| is(token, variable.name()));
        known.or_else(|| is(token, "timezone").then_some(Self::TimeZone))
    }

    /// `TIME ZONE`, which SQL writes in two words.
    fn in_two_words(time: &Token, zone: &Token) -> bool {
        is(time, "TIME") && is(zone, "ZONE")
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
            [reset, time, zone] if is(reset, "RESET") && Variable::in_two_words(time, zone) => {
                Some(Self::Of(Variable::TimeZone, Change::Reset))
            }
            [show, time, zone] if is(show, "SHOW") && Variable::in_two_words(time, zone) => {
                Some(Self::Of(Variable::TimeZone, Change::Show))
            }
            [word, rest @ ..] if is(word, "USE") => read_use(rest),
            _ => None,
        }
    }
}

/// The words of a statement of at most `bytes_max`, without what stands between them and at its end.
pub(super) fn tokens(sql: &str, bytes_max: usize) -> Option<Vec<Token>> {
    // Most statements are queries, which neither set nor end anything: their first word says so.
    let first = sql.trim_start().split(|sign: char| !sign.is_ascii_alphabetic()).next().unwrap_or_default();
    if sql.len() > bytes_max || ["SELECT", "WITH"].iter().any(|query| first.eq_ignore_ascii_case(query)) {
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
    let (variable, value) = match tokens {
        [time, zone, value] if Variable::in_two_words(time, zone) => (Variable::TimeZone, value),
        [name, to, value] if *to == Token::Eq || is(to, "TO") => (Variable::of(name)?, value),
        _ => return None,
    };
    let change = match value {
        Token::SingleQuotedString(text) => Change::Set(text.clone()),
        Token::Number(digits, false) if variable == Variable::StatementTimeout => Change::Set(digits.clone()),
        value if is(value, "DEFAULT") => Change::Reset,
        Token::Word(word) => Change::Set(word.value.clone()),
        _ => return None,
    };
    Some(Setting::Of(variable, change))
}

/// A time as `statement_timeout` takes it: milliseconds, or a number with its unit, `30s` or `5 min`.
pub fn timeout(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let ms_of_one = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(ms_of_one).map(Duration::from_millis)
}

/// Whether a name of a time zone is one of UTC's.
pub fn is_utc(zone: &str) -> bool {
    const NAMES: [&str; 8] = ["UTC", "Etc/UTC", "GMT", "Z", "0", "+00", "+00:00", "-00:00"];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(zone.trim()))
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
    fn statements_have_a_time_and_times_a_zone() {
        let set = |variable, value: &str| Some(Setting::Of(variable, Change::Set(value.to_string())));
        for (sql, expected) in [
            ("SET statement_timeout = 5000", set(Variable::StatementTimeout, "5000")),
            ("SET SESSION statement_timeout TO '30s'", set(Variable::StatementTimeout, "30s")),
            ("SET TIME ZONE 'UTC'", set(Variable::TimeZone, "UTC")),
            ("SET timezone = 'Asia/Shanghai'", set(Variable::TimeZone, "Asia/Shanghai")),
            ("SHOW time zone", Some(Setting::Of(Variable::TimeZone, Change::Show))),
            ("SET TIME ZONE DEFAULT", Some(Setting::Of(Variable::TimeZone, Change::Reset))),
            ("SET TIME ZONE", None),
            ("SET TIME 'UTC'", None),
        ] {
            assert_eq!(Setting::read(sql), expected, "{sql}");
        }
        let ms = |text: &str| timeout(text).map(|timeout| timeout.as_millis());
        assert_eq!(
            [ms("0"), ms("250ms"), ms("30 s"), ms("2min"), ms("1h")].map(Option::unwrap),
            [0, 250, 30_000, 120_000, 3_600_000]
        );
        assert_eq!([ms(""), ms("s"), ms("-5"), ms("5 weeks"), ms("99999999999999999999")], [None; 5]);
        assert!(is_utc("utc") && is_utc("+00:00") && !is_utc("+01:00") && !is_utc("Europe/London"));
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

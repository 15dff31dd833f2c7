//! A statement as it may be written down: every literal as a keyed hash, comments gone, the rest as it was.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::key::AuditKey;
use crate::sabotage::{Control, thrown};

/// The statement with `'h:<16 digits>'` for each literal; equal literals have equal hashes under one key. A text that is
/// not even tokens is one hash.
///
/// What is kept is listed, not what is hidden: words (identifiers, quoted or not), placeholders, and signs. A kind of
/// literal that a later parser knows is hidden without a change here.
///
/// A text that was refused because it cannot be parsed has its quotes anywhere, and half of a literal may look like a
/// word: record its [`digest`], not its template.
pub fn template(sql: &str, key: &AuditKey) -> String {
    if thrown(Control::Literals) {
        return sql.to_string();
    }
    without_literals(sql, |literal| digest(literal, key))
}

/// The statement with `?` for each literal, for an administrator who looks at what others ask. A text that is not even
/// tokens is one `?`.
pub fn shape(sql: &str) -> String {
    without_literals(sql, |_| "?".to_string())
}

fn without_literals(sql: &str, hidden: impl Fn(&str) -> String) -> String {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return hidden(sql) };
    let mut text = String::with_capacity(sql.len());
    let mut after_literal = false;
    for token in &tokens {
        let is_word = matches!(token, Token::Word(_));
        if matches!(token, Token::Whitespace(_)) {
            space(&mut text);
        } else if is_kept(token) && !(is_word && after_literal) {
            text.push_str(&token.to_string());
        } else {
            text.push_str(&hidden(&token.to_string()));
        }
        // `1_000` and `12abc` are a number and a word to the tokenizer; who wrote them meant one literal.
        after_literal = !is_kept(token) || (is_word && after_literal);
    }
    text.trim_end().to_string()
}

/// `'h:<16 digits>'` for a whole text. Of a literal it is the text as written, quotes and all: `5` is not `'5'`.
pub fn digest(text: &str, key: &AuditKey) -> String {
    format!("'h:{}'", key.digest(text))
}

fn is_kept(token: &Token) -> bool {
    match token {
        Token::Word(_) | Token::Placeholder(_) | Token::Whitespace(_) => true,
        Token::DollarQuotedString(_) => false,
        other => is_sign(&other.to_string()),
    }
}

fn is_sign(text: &str) -> bool {
    text.chars().all(|sign| sign.is_ascii_punctuation() && !matches!(sign, '\'' | '"'))
}

/// White space of any length, and a comment, is one space.
fn space(text: &mut String) {
    if !text.is_empty() && !text.ends_with(' ') {
        text.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn key() -> AuditKey {
        let state = tempfile::tempdir().unwrap();
        AuditKey::load_or_create(&state.path().join("audit.key")).unwrap()
    }

    /// The template with every hash as `?`.
    fn check(sql: &str, expect: &str) {
        let template = template(sql, &key());
        let mut shape = String::new();
        for (index, part) in template.split("'h:").enumerate() {
            shape.push_str(if index == 0 { part } else { part.split_once('\'').unwrap().1 });
            shape.push('?');
        }
        shape.pop();
        assert_eq!(shape, expect, "{template}");
        assert_eq!(super::shape(sql), expect);
    }

    #[test]
    fn every_kind_of_literal_is_a_hash() {
        check("SELECT a FROM t WHERE b = 5 AND c LIKE 'x%'", "SELECT a FROM t WHERE b = ? AND c LIKE ?");
        check("SELECT DATE '2020-01-01', -1.5e10, .5", "SELECT DATE ?, -?, ?");
        check("SELECT X'AB', N'n', E'e\\n', U&'u', 0xFF", "SELECT ?, ?, ?, ?, ?");
        check("SELECT $$dollar$$, $tag$in$tag$, $$--$$", "SELECT ?, ?, ?");
        check("SELECT 1_000, 12abc", "SELECT ??, ??");
        check("SELECT INTERVAL '1' DAY", "SELECT INTERVAL ? DAY");
        check("SELECT '''', '--', '/* */'", "SELECT ?, ?, ?");
    }

    #[test]
    fn what_is_no_literal_stays() {
        check(
            r#"SELECT "A b", t.c1 FROM s.t WHERE x = $1 AND y->'k' IS NULL"#,
            r#"SELECT "A b", t.c1 FROM s.t WHERE x = $1 AND y->? IS NULL"#,
        );
        check("  SELECT\n\t1 -- SECRET\n /* SECRET */ FROM t ", "SELECT ? FROM t");
    }

    #[test]
    fn a_text_that_is_no_tokens_is_one_hash() {
        check("SELECT 'SECRET", "?");
    }

    #[test]
    fn equal_literals_meet_and_different_ones_do_not() {
        let key = key();
        assert_eq!(template("5", &key), template(" 5", &key));
        assert_ne!(template("5", &key), template("'5'", &key));
        assert_ne!(template("5", &key), template("5", &super::tests::key()));
    }

    /// A70: no part of a literal that is long enough to be told from chance appears in the template.
    #[test]
    fn random_literals_never_appear() {
        let (key, mut random) = (key(), StdRng::seed_from_u64(70));
        for _ in 0..2_000 {
            let secret: String = (0..12).map(|_| random.random_range(b'g'..=b'z') as char).collect();
            let digits = random.random_range(10_u64.pow(17)..10_u64.pow(18)).to_string();
            let literals = [
                format!("'{secret}'"),
                format!("'it''s {secret}'"),
                format!("E'\\'{secret}'"),
                format!("N'{secret}'"),
                format!("$${secret}$$"),
                format!("$q${secret}$q$"),
                format!("U&'{secret}'"),
                format!("B'{secret}'"),
                format!("R'{secret}'"),
                format!("DATE '{secret}'"),
                digits.to_string(),
                format!("-{digits}.{digits}"),
                format!("{digits}e5"),
                format!("1_{digits}"),
                format!("0x{digits}"),
                format!("X'{digits}'"),
                format!("/* {secret} */ 1"),
                format!("1 -- {secret}\n"),
            ];
            let (one, other) = (literals.choose(&mut random).unwrap(), literals.choose(&mut random).unwrap());
            let sql = format!("SELECT a+{one} AS b FROM t WHERE c IN ({other},{one})");
            let template = template(&sql, &key);
            assert!(!template.contains(&secret) && !template.contains(&digits), "{sql}\n{template}");
        }
    }
}

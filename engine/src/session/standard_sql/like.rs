//! LIKE with an escape sign of its own: DataFusion knows the backslash alone, and takes it for one where none is named.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{Expr, lit};

/// The same with a backslash, where the pattern is known. One that each row has its own of stays, and is refused.
pub(super) fn with_backslash(like: Like) -> Transformed<Expr> {
    let Some(sign) = like.escape_char.filter(|sign| *sign != '\\') else {
        return Transformed::no(Expr::Like(like));
    };
    let pattern = match like.pattern.as_ref() {
        Expr::Literal(value, metadata) if value.is_null() => Expr::Literal(value.clone(), metadata.clone()),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => lit(escaped(text, sign)),
        Expr::Literal(ScalarValue::LargeUtf8(Some(text)), _) => {
            Expr::Literal(ScalarValue::LargeUtf8(Some(escaped(text, sign))), None)
        }
        _ => return Transformed::no(Expr::Like(like)),
    };
    Transformed::yes(Expr::Like(Like { pattern: Box::new(pattern), escape_char: None, ..like }))
}

/// The pattern that says with a backslash what this one says with its sign. A sign at its end stands for itself.
fn escaped(pattern: &str, sign: char) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    let mut signs = pattern.chars();
    while let Some(next) = signs.next() {
        let literal = if next == sign { Some(signs.next().unwrap_or(sign)) } else { None };
        match literal.unwrap_or(next) {
            '\\' => escaped.push_str("\\\\"),
            wildcard @ ('%' | '_') if literal.is_some() => escaped.extend(['\\', wildcard]),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_before_a_wildcard_becomes_a_backslash_and_a_backslash_two() {
        for (pattern, expected) in [
            ("100!%", r"100\%"),
            ("a!!b", "a!b"),
            ("!_%_", r"\_%_"),
            (r"c:\%", r"c:\\%"),
            (r"!\", r"\\"),
            ("!a!", "a!"),
        ] {
            assert_eq!(escaped(pattern, '!'), expected, "{pattern}");
        }
        assert_eq!(escaped("50%%_%%", '%'), "50\\%_\\%");
    }
}

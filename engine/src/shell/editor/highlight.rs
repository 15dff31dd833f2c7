//! Colours for what is typed: SQL's words, texts, numbers, comments, and the shell's commands.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};
use reedline::{Color, Highlighter, StyledText};

use crate::shell::input::Places;

/// Highlights at the prompt. What cannot be cut into tokens yet stays as it is.
pub(super) struct StatementHighlighter;

impl Highlighter for StatementHighlighter {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (color, text) in colored(line) {
            styled.push((color.map_or(Color::Default.normal(), Color::normal), text));
        }
        styled
    }
}

/// The line in pieces, each with its colour.
fn colored(line: &str) -> Vec<(Option<Color>, String)> {
    if line.starts_with('\\') {
        let end = line.find(char::is_whitespace).unwrap_or(line.len());
        let (command, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        return vec![(Some(Color::Purple), command.to_owned()), (None, rest.to_owned())];
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, line).tokenize_with_location() else {
        return vec![(None, line.to_owned())];
    };
    let mut places = Places::new(line);
    let starts: Vec<usize> = tokens.iter().map(|token| places.offset_of(token.span.start)).collect();
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let pieces = tokens.iter().zip(starts.iter().copied().zip(ends));
    pieces
        .map(|(token, (start, end))| (color(&token.token), line.get(start..end).unwrap_or_default().to_owned()))
        .collect()
}

fn color(token: &Token) -> Option<Color> {
    match token {
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => Some(Color::Blue),
        Token::Number(..) => Some(Color::Cyan),
        Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::HexStringLiteral(_) => Some(Color::Green),
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Some(Color::DarkGray)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[(Option<Color>, &str)]) {
        let pieces = colored(line);
        let whole: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(whole, line, "nothing is lost");
        let told: Vec<(Option<Color>, &str)> = pieces
            .iter()
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(color, text)| (*color, text.trim()))
            .collect();
        assert_eq!(told, expect, "{line}");
    }

    #[test]
    fn pieces() {
        check(
            "SELECT '华东;' AS \"from\" -- 𝒳\n, 17",
            &[
                (Some(Color::Blue), "SELECT"),
                (Some(Color::Green), "'华东;'"),
                (Some(Color::Blue), "AS"),
                (None, "\"from\""),
                (Some(Color::DarkGray), "-- 𝒳"),
                (None, ","),
                (Some(Color::Cyan), "17"),
            ],
        );
        check("\\d bts.ontime", &[(Some(Color::Purple), "\\d"), (None, "bts.ontime")]);
        check("SELECT 'open", &[(None, "SELECT 'open")]);
    }
}

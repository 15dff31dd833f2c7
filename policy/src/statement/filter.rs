//! Row filters: the words that the grammar has go through sqlparser's expression parser, and what it makes of them is
//! lowered to [`Predicate`]. Everything else is refused by name, before it is parsed where its word shows it.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value as Literal,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::cursor::{Cursor, Parsed, folded, number};
use crate::predicate::{Comparison, List, Operand, Predicate};
use crate::value::Value;

/// How deep AND, OR and NOT of a row filter may be nested.
pub const PREDICATE_DEPTH_MAX: usize = 50;

/// How deep sqlparser's recursion may go: per nesting an operator's right side and a parenthesis, and a few for a leaf.
const RECURSION_MAX: usize = 2 * PREDICATE_DEPTH_MAX + 10;

/// Operators, keywords and parentheses of one row filter.
pub const PREDICATE_OPERATORS_MAX: usize = 1_000;

/// Values of one `IN (…)`.
pub const IN_LIST_MAX: usize = 10_000;

/// The words of the grammar; every other word is a column's name, however SQL uses it elsewhere.
pub(super) const WORDS: [&str; 9] = ["AND", "OR", "NOT", "IN", "IS", "NULL", "TRUE", "FALSE", "BETWEEN"];

/// What a row filter may be made of, as a refusal tells it.
const KNOWN: &str = "a row filter knows columns, values, attribute('name'), = <> < <= > >=, BETWEEN, IN (…), \
    IS [NOT] NULL, AND, OR, NOT";

/// Inside the parentheses of `ROW FILTER (…)`; the closing one stays.
pub(super) fn filter(cursor: &mut Cursor<'_>) -> Parsed<Predicate> {
    let start = *cursor;
    let tokens = admitted(cursor.up_to_closing()).map_err(|message| start.fault(message))?;
    let mut parser =
        Parser::new(&GenericDialect {}).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|e| start.fault(told(e)))?;
    match &parser.peek_token_ref().token {
        Token::EOF => predicate(expr).and_then(shallow).map_err(|message| start.fault(message)),
        Token::Word(word) => Err(start.fault(format!("`{}` is not offered in a row filter: {KNOWN}", word.value))),
        token => Err(start.fault(format!("`{token}` is not expected in the row filter: {KNOWN}"))),
    }
}

fn told(error: ParserError) -> String {
    match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            format!("the row filter cannot be read: {message}")
        }
    }
}

fn too_deep() -> String {
    format!("a row filter is nested at most {PREDICATE_DEPTH_MAX} deep")
}

fn shallow(predicate: Predicate) -> Result<Predicate, String> {
    if depth(&predicate) <= PREDICATE_DEPTH_MAX { Ok(predicate) } else { Err(too_deep()) }
}

fn depth(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
        Predicate::Not(inner) => 1 + depth(inner),
        Predicate::Compare { .. } | Predicate::In { .. } | Predicate::IsNull { .. } => 0,
    }
}

/// The tokens for sqlparser: only those of the grammar; column names quoted, so that none is a keyword; and
/// `IN attribute('list')` as `IN (attribute('list'))`, which is what its grammar has.
fn admitted(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, String> {
    let mut admitted: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let (mut operators, mut wrapped) = (0_usize, false);
    for (at, token) in tokens.iter().enumerate() {
        let call = matches!(tokens.get(at + 1), Some(TokenWithSpan { token: Token::LParen, .. }));
        let mut put = |kind: Token| admitted.push(TokenWithSpan { token: kind, span: token.span });
        match &token.token {
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma => put(token.token.clone()),
            Token::Word(word) if is_grammar(word) => {
                operators += 1;
                put(token.token.clone());
            }
            Token::Word(word) if call && folded(word) == "attribute" => {
                if at.checked_sub(1).and_then(|before| tokens.get(before)).is_some_and(is_in) {
                    put(Token::LParen);
                    wrapped = true;
                }
                put(token.token.clone());
            }
            Token::Word(word) if call => {
                return Err(format!("the function `{}` is unknown in a row filter: {KNOWN}", word.value));
            }
            Token::Word(word) => put(Token::Word(column(word))),
            Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Minus
            | Token::LParen => {
                operators += 1;
                put(token.token.clone());
            }
            Token::RParen => {
                put(Token::RParen);
                if std::mem::take(&mut wrapped) {
                    put(Token::RParen);
                }
            }
            Token::Period => return Err("a row filter names columns without their table".to_owned()),
            other => return Err(format!("`{other}` is not offered in a row filter: {KNOWN}")),
        }
    }
    match operators {
        0..=PREDICATE_OPERATORS_MAX => Ok(admitted),
        _ => Err(format!("a row filter has at most {PREDICATE_OPERATORS_MAX} operators")),
    }
}

fn is_grammar(word: &Word) -> bool {
    word.quote_style.is_none() && WORDS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

fn is_in(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if is_grammar(word) && word.keyword == Keyword::IN)
}

fn column(word: &Word) -> Word {
    Word { value: folded(word), quote_style: Some('"'), keyword: Keyword::NoKeyword }
}

/// sqlparser's expression as ours.
fn predicate(expr: Expr) -> Result<Predicate, String> {
    match expr {
        Expr::Nested(inner) => predicate(*inner),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Predicate::Not(Box::new(predicate(*expr)?))),
        Expr::BinaryOp { op: BinaryOperator::And, .. } => conjunction(expr),
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => disjunction(expr),
        Expr::BinaryOp { left, op, right } => {
            let comparison = comparison(&op)?;
            Ok(Predicate::Compare { left: operand(*left)?, comparison, right: operand(*right)? })
        }
        Expr::IsNull(inner) => Ok(Predicate::IsNull { operand: operand(*inner)?, negated: false }),
        Expr::IsNotNull(inner) => Ok(Predicate::IsNull { operand: operand(*inner)?, negated: true }),
        Expr::InList { expr, list, negated } => {
            Ok(Predicate::In { operand: operand(*expr)?, list: self::list(list)?, negated })
        }
        Expr::Between { expr, negated, low, high } => {
            between(operand(*expr)?, negated, operand(*low)?, operand(*high)?)
        }
        Expr::Identifier(name) => Err(format!("`{0}` alone is no condition; write {0} = TRUE", name.value)),
        other => Err(format!("{} is not a condition: {KNOWN}", shape(&other))),
    }
}

fn conjunction(expr: Expr) -> Result<Predicate, String> {
    let mut parts = Vec::new();
    for part in chain(expr, &BinaryOperator::And) {
        match predicate(part)? {
            Predicate::And(inner) => parts.extend(inner),
            part => parts.push(part),
        }
    }
    Ok(Predicate::And(parts))
}

fn disjunction(expr: Expr) -> Result<Predicate, String> {
    let parts = chain(expr, &BinaryOperator::Or).into_iter().map(predicate).collect::<Result<_, _>>()?;
    Ok(Predicate::Or(parts))
}

/// The parts of `a AND b AND c`, from left to right, also of `a AND (b AND c)`. A loop: chains are long, stacks are not.
fn chain(expr: Expr, operator: &BinaryOperator) -> Vec<Expr> {
    let (mut pending, mut parts) = (vec![expr], Vec::new());
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::BinaryOp { left, op, right } if op == *operator => pending.extend([*right, *left]),
            Expr::Nested(inner) => pending.push(*inner),
            part => parts.push(part),
        }
    }
    parts
}

/// What an expression is, in a word or two; it may be long or deep, so it is not printed.
fn shape(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => format!("`{}`", name.value),
        Expr::BinaryOp { op, .. } => format!("`… {op} …`"),
        Expr::UnaryOp { op, .. } => format!("`{op} …`"),
        Expr::InList { .. } | Expr::InSubquery { .. } => "`… IN (…)`".to_owned(),
        Expr::Between { .. } => "`… BETWEEN …`".to_owned(),
        Expr::Value(_) => "a value".to_owned(),
        Expr::Tuple(_) => "a list of values".to_owned(),
        Expr::Function(_) => "attribute('name')".to_owned(),
        _ => "this expression".to_owned(),
    }
}

/// `a BETWEEN low AND high` is `a >= low AND a <= high`.
fn between(operand: Operand, negated: bool, low: Operand, high: Operand) -> Result<Predicate, String> {
    let above = Predicate::Compare { left: operand.clone(), comparison: Comparison::GreaterOrEqual, right: low };
    let below = Predicate::Compare { left: operand, comparison: Comparison::LessOrEqual, right: high };
    let both = Predicate::And(vec![above, below]);
    Ok(if negated { Predicate::Not(Box::new(both)) } else { both })
}

fn comparison(operator: &BinaryOperator) -> Result<Comparison, String> {
    match operator {
        BinaryOperator::Eq => Ok(Comparison::Equal),
        BinaryOperator::NotEq => Ok(Comparison::NotEqual),
        BinaryOperator::Lt => Ok(Comparison::Less),
        BinaryOperator::LtEq => Ok(Comparison::LessOrEqual),
        BinaryOperator::Gt => Ok(Comparison::Greater),
        BinaryOperator::GtEq => Ok(Comparison::GreaterOrEqual),
        other => Err(format!("`{other}` is not offered in a row filter: {KNOWN}")),
    }
}

fn operand(expr: Expr) -> Result<Operand, String> {
    match expr {
        Expr::Nested(inner) => operand(*inner),
        Expr::Identifier(name) => Ok(Operand::Column(name.value)),
        Expr::Function(function) => attribute(function).map(Operand::Attribute),
        other => value(other).map(Operand::Value),
    }
}

/// `(1, 2, 3)`, or `attribute('list')` alone.
fn list(mut items: Vec<Expr>) -> Result<List, String> {
    if items.len() > IN_LIST_MAX {
        return Err(format!("an IN list has at most {IN_LIST_MAX} values"));
    }
    if let [Expr::Function(_)] = items.as_slice()
        && let Some(Expr::Function(function)) = items.pop()
    {
        return attribute(function).map(List::Attribute);
    }
    items.into_iter().map(value).collect::<Result<_, _>>().map(List::Values)
}

fn value(expr: Expr) -> Result<Value, String> {
    match expr {
        Expr::Value(literal) => literal_value("", literal.value),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match *expr {
            Expr::Value(literal) if matches!(literal.value, Literal::Number(..)) => literal_value("-", literal.value),
            other => Err(format!("minus {} is not a number", shape(&other))),
        },
        other => Err(format!("{} is not a column, a value or attribute('name')", shape(&other))),
    }
}

fn literal_value(sign: &str, literal: Literal) -> Result<Value, String> {
    match literal {
        Literal::Number(digits, _) => number(sign, &digits),
        Literal::SingleQuotedString(text) => Ok(Value::Text(text)),
        Literal::Boolean(boolean) => Ok(Value::Boolean(boolean)),
        Literal::Null => Err("nothing is equal to NULL; write IS NULL or IS NOT NULL".to_owned()),
        _ => Err("a value is a number, a text in single quotes, TRUE or FALSE".to_owned()),
    }
}

/// The name in `attribute('name')`.
fn attribute(function: Function) -> Result<String, String> {
    let FunctionArguments::List(arguments) = function.args else { return Err(ATTRIBUTE.to_owned()) };
    match arguments.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match &value.value {
            Literal::SingleQuotedString(name) if !name.is_empty() => Ok(name.clone()),
            _ => Err(ATTRIBUTE.to_owned()),
        },
        _ => Err(ATTRIBUTE.to_owned()),
    }
}

const ATTRIBUTE: &str = "an attribute is written attribute('name'), with one name in single quotes";

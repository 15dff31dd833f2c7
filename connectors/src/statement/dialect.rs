//! The tokens of one SQL dialect. Steps are built without a dialect; the printer asks here for every token.

use std::fmt::Write;

use arrow::datatypes::DataType;
use datafusion_common::JoinType;
use datafusion_expr::Operator;

use super::refusal::Refusal;

/// How one dialect spells what every statement is made of.
///
/// A dialect never decides the shape of a statement. What it cannot say with the same meaning it refuses.
pub(super) trait Dialect {
    /// `name` as an identifier that is never folded.
    fn identifier(&self, name: &str) -> String;

    /// `value` as a text literal.
    fn text(&self, value: &str) -> String;

    /// `value` as a binary literal.
    fn bytes(&self, value: &[u8]) -> String;

    /// `printed` cast to exactly `to`; a value that cannot be cast is an error.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal>;

    /// `printed` cast to exactly `to`; a value that cannot be cast is null.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn try_cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal>;

    /// The token of a binary operator.
    ///
    /// # Errors
    /// An operator that the dialect does not have.
    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal>;

    /// A function's name, so that no special syntax of the parser fires.
    fn function(&self, name: &str) -> String;

    /// The words that join two FROM items.
    ///
    /// # Errors
    /// A join that is not a FROM item in this dialect.
    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal>;
}

/// The dialect of a Chancery site, and of any server that runs DataFusion.
#[derive(Debug)]
pub(super) struct DataFusion;

impl Dialect for DataFusion {
    fn identifier(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn text(&self, value: &str) -> String {
        format!("'{}'", value.replace('\'', "''"))
    }

    fn bytes(&self, value: &[u8]) -> String {
        let mut hex = String::with_capacity(value.len() * 2);
        for byte in value {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02X}");
        }
        format!("X'{hex}'")
    }

    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        Ok(format!("arrow_cast({printed}, {})", self.text(&type_name(to)?)))
    }

    fn try_cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        Ok(format!("arrow_try_cast({printed}, {})", self.text(&type_name(to)?)))
    }

    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal> {
        Ok(match operator {
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            Operator::GtEq => ">=",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::And => "AND",
            Operator::Or => "OR",
            Operator::IsDistinctFrom => "IS DISTINCT FROM",
            Operator::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            Operator::RegexMatch => "~",
            Operator::RegexIMatch => "~*",
            Operator::RegexNotMatch => "!~",
            Operator::RegexNotIMatch => "!~*",
            Operator::BitwiseAnd => "&",
            Operator::BitwiseOr => "|",
            Operator::BitwiseXor => "^",
            Operator::BitwiseShiftLeft => "<<",
            Operator::BitwiseShiftRight => ">>",
            Operator::StringConcat => "||",
            other => {
                return Err(Refusal::new(other.to_string(), "is an operator without a token"));
            }
        })
    }

    fn function(&self, name: &str) -> String {
        self.identifier(name)
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        Ok(match kind {
            JoinType::Inner => "JOIN",
            JoinType::Left => "LEFT JOIN",
            JoinType::Right => "RIGHT JOIN",
            JoinType::Full => "FULL JOIN",
            JoinType::LeftSemi => "LEFT SEMI JOIN",
            JoinType::RightSemi => "RIGHT SEMI JOIN",
            JoinType::LeftAnti => "LEFT ANTI JOIN",
            JoinType::RightAnti => "RIGHT ANTI JOIN",
            JoinType::LeftMark | JoinType::RightMark => {
                return Err(Refusal::new("join", "a mark join is not a FROM item"));
            }
        })
    }
}

/// The name of an Arrow type, if the far side's parser reads the same type from it.
fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let name = data_type.to_string();
    match name.parse::<DataType>() {
        Ok(read) if &read == data_type => Ok(name),
        _ => Err(Refusal::new(name, "is a type whose name does not survive parsing")),
    }
}

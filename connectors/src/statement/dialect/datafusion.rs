//! The dialect of a Chancery site, and of any server that runs DataFusion.

use std::fmt::Write;

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

use super::{AggregateCall, Dialect, Place};
use crate::statement::allow::{SIZE_MAX, type_size};
use crate::statement::literal;
use crate::statement::refusal::Refusal;
use crate::statement::types::{Stored, Types};

/// The far side has the plan's own types, functions and order of text: everything is said as it stands.
#[derive(Debug)]
pub(in crate::statement) struct DataFusion;

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

    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal> {
        literal::print(value, self)
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

    fn cross_join(&self) -> &'static str {
        "CROSS JOIN"
    }

    fn values(&self, rows: &[String], alias: &str, columns: &[String]) -> String {
        format!("(VALUES {}) AS {alias} ({})", rows.join(", "), columns.join(", "))
    }

    fn limit(&self, skip: usize, fetch: Option<usize>) -> String {
        let fetch = fetch.map(|fetch| format!(" LIMIT {fetch}")).unwrap_or_default();
        let skip = if skip > 0 { format!(" OFFSET {skip}") } else { String::new() };
        format!("{fetch}{skip}")
    }

    fn like_function(&self) -> Option<&'static str> {
        None
    }

    fn says_existence(&self, _kind: JoinType) -> bool {
        false
    }

    fn stored(&self, _table: &TableReference, _column: &str) -> Stored {
        Stored::Plain
    }

    fn part(&self, _table: &TableReference) -> Option<&str> {
        None
    }

    fn admit(&self, _expr: &Expr, _types: &Types) -> Result<(), Refusal> {
        Ok(())
    }

    fn admit_key(&self, _expr: &Expr, _types: &Types) -> Result<(), Refusal> {
        Ok(())
    }

    fn admit_join(&self, _kind: JoinType, _on: &[Expr], _types: &Types) -> Result<(), Refusal> {
        Ok(())
    }

    fn column(&self, printed: String, _column: &Column, _place: Place, _types: &Types) -> String {
        printed
    }

    fn ordered(&self, printed: String, _expr: &Expr, _types: &Types) -> String {
        printed
    }

    fn ordering(&self, key: &str, sort: &Sort) -> String {
        let direction = if sort.asc { "ASC" } else { "DESC" };
        let nulls = if sort.nulls_first { "FIRST" } else { "LAST" };
        format!("{key} {direction} NULLS {nulls}")
    }

    fn condition(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn computed(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn output(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        Ok(format!("{}({})", self.function(function.name()), args.join(", ")))
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        _function: &AggregateFunction,
        _types: &Types,
    ) -> Result<String, Refusal> {
        Ok(call.print(&self.function(&call.name)))
    }
}

/// The name of an Arrow type, if the far side's parser reads the same type from it, and its site allows values of that size.
fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let name = data_type.to_string();
    match name.parse::<DataType>() {
        Ok(_) if type_size(data_type) > SIZE_MAX => Err(Refusal::new(name, "is a type of large values")),
        Ok(read) if &read == data_type => Ok(name),
        _ => Err(Refusal::new(name, "is a type whose name does not survive parsing")),
    }
}

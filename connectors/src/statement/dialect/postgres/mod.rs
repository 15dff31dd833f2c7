//! PostgreSQL's dialect: its own types, text that compares by bytes, and every value of exactly the type that it has in
//! the plan.

mod words;

use std::fmt::Write;

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

use self::words::{type_name, words};
use super::{AggregateCall, DataFusion, Dialect, Place, is_key_of_two};
use crate::statement::allow::classes::{self, Class, average, class, class_of, position};
use crate::statement::allow::postgres::admit;
use crate::statement::digits::{digits, range};
use crate::statement::refusal::Refusal;
use crate::statement::types::{Origin, Stored, StoredTables, Types};

/// PostgreSQL 12 or later, over tables that store their columns as `stored` tells.
///
/// Text: a column of a table is said `COLLATE "C"`, so that whatever is made of it compares by bytes, and so is every
/// text that leaves a step; only a test of a column against literals is not, for equality is of bytes in any case and an
/// index may answer it.
#[derive(Debug)]
pub(in crate::statement) struct Postgres<'a> {
    pub(in crate::statement) stored: &'a StoredTables,
}

/// Functions that PostgreSQL's grammar knows as words.
const WORDS: &[&str] = &["coalesce", "nullif"];

/// Whole numbers up to this are the sums of as many rows as no table has.
const SUMMAND_MAX: i128 = 1 << 31;

impl Dialect for Postgres<'_> {
    fn identifier(&self, name: &str) -> String {
        DataFusion.identifier(name)
    }

    fn text(&self, value: &str) -> String {
        DataFusion.text(value)
    }

    /// Without a backslash, whatever the server takes one for.
    fn bytes(&self, value: &[u8]) -> String {
        let mut hex = String::with_capacity(value.len() * 2);
        for byte in value {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        format!("decode('{hex}', 'hex')")
    }

    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal> {
        let data_type = value.data_type();
        if value.is_null() {
            return self.cast("NULL", &data_type);
        }
        match value {
            ScalarValue::Boolean(Some(truth)) => Ok(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
            ScalarValue::Utf8(Some(text)) if text.contains('\0') => {
                Err(Refusal::new("literal", "holds a character that PostgreSQL does not store"))
            }
            ScalarValue::Utf8(Some(text)) => Ok(self.text(text)),
            ScalarValue::Binary(Some(bytes)) => Ok(self.bytes(bytes)),
            ScalarValue::Int32(Some(number)) if *number >= 0 => Ok(number.to_string()),
            value => self.cast(&self.text(&words(value)?), &data_type),
        }
    }

    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        Ok(format!("CAST({printed} AS {})", type_name(to)?))
    }

    fn try_cast(&self, _printed: &str, _to: &DataType) -> Result<String, Refusal> {
        Err(Refusal::new("try_cast", "is not there"))
    }

    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal> {
        DataFusion.operator(operator)
    }

    fn function(&self, name: &str) -> String {
        if WORDS.contains(&name) { name.to_uppercase() } else { self.identifier(name) }
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        match kind {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => DataFusion.join(kind),
            _ => Err(Refusal::new("join", "is not a FROM item there")),
        }
    }

    fn cross_join(&self) -> &'static str {
        DataFusion.cross_join()
    }

    fn values(&self, rows: &[String], alias: &str, columns: &[String]) -> String {
        DataFusion.values(rows, alias, columns)
    }

    fn limit(&self, skip: usize, fetch: Option<usize>) -> String {
        DataFusion.limit(skip, fetch)
    }

    fn like_function(&self) -> Option<&'static str> {
        None
    }

    fn says_existence(&self, kind: JoinType) -> bool {
        matches!(kind, JoinType::LeftSemi | JoinType::LeftAnti)
    }

    fn stored(&self, table: &TableReference, column: &str) -> Stored {
        self.stored.of(table, column)
    }

    fn part(&self, table: &TableReference) -> Option<&str> {
        self.stored.part_of(table)
    }

    fn admit(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        let is_text = || types.of(expr) == Some(DataType::Utf8) && !matches!(expr, Expr::Column(_));
        if self.stored.has_foreign_text() && is_text() {
            return Err(Refusal::new("text", "is not stored as UTF-8 there"));
        }
        admit(expr, types)
    }

    fn admit_key(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        match expr {
            Expr::GroupingSet(_) => Err(Refusal::new("grouping set", "is numbered otherwise there")),
            expr => classes::admit_key(expr, types),
        }
    }

    /// A full join needs keys, and nothing else, in PostgreSQL.
    fn admit_join(&self, kind: JoinType, on: &[Expr], _types: &Types) -> Result<(), Refusal> {
        if kind == JoinType::Full && (on.is_empty() || !on.iter().all(is_key_of_two)) {
            return Err(Refusal::new("join", "is full, under a condition that is not of keys"));
        }
        Ok(())
    }

    fn column(&self, printed: String, column: &Column, place: Place, types: &Types) -> String {
        let printed = match types.origin(column) {
            Some(Origin::Table(Stored::Cast(to) | Stored::Long(Some(to)))) => format!("CAST({printed} AS {to})"),
            Some(Origin::Table(Stored::Plain | Stored::Long(None)) | Origin::Values) => printed,
            Some(Origin::Table(Stored::Opaque | Stored::Call(_)) | Origin::Step(_)) | None => return printed,
        };
        let is_text = class(&Expr::Column(column.clone()), types) == Some(Class::Text);
        if is_text && place != Place::EqualsLiterals { by_bytes(&printed) } else { printed }
    }

    fn ordered(&self, printed: String, expr: &Expr, types: &Types) -> String {
        let is_text = class(expr, types) == Some(Class::Text);
        if is_text && !matches!(expr, Expr::Column(_)) { by_bytes(&printed) } else { printed }
    }

    fn ordering(&self, key: &str, sort: &Sort) -> String {
        DataFusion.ordering(key, sort)
    }

    fn condition(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    /// Decimals are exact there however long they grow; here they have the digits of their type.
    fn computed(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        match (expr, types.of(expr)) {
            (Expr::BinaryExpr(_), Some(to @ DataType::Decimal128(precision, _)))
                if digits(expr, types).is_none_or(|digits| digits > u32::from(precision)) =>
            {
                self.cast(&printed, &to)
            }
            _ => Ok(printed),
        }
    }

    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        if matches!(expr, Expr::Column(_)) {
            return Ok(printed);
        }
        let to = types.of(expr).ok_or_else(|| Refusal::new("projection", "has a column without a type"))?;
        match (expr, class_of(&to)) {
            (_, None) => Err(Refusal::new("projection", format!("makes {to}, which is not there"))),
            (_, Some(Class::Text)) => Ok(by_bytes(&printed)),
            (Expr::Literal(..) | Expr::Cast(_) | Expr::AggregateFunction(_), _) | (_, Some(Class::Truth)) => {
                Ok(printed)
            }
            _ if printed.starts_with("CAST(") => Ok(printed),
            _ => self.cast(&printed, &to),
        }
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        let name = self.function(function.name());
        match (function.name(), function.args.as_slice(), args.as_slice()) {
            // The positions are of a shorter type there.
            ("substr", [_, positions @ ..], [text, ..]) => {
                let positions = positions.iter().filter_map(|arg| position(arg, 0)).map(|at| at.to_string());
                let args: Vec<String> = std::iter::once(text.clone()).chain(positions).collect();
                Ok(format!("{name}({})", args.join(", ")))
            }
            ("date_part", [part, _], [_, of]) => self.date_part(part, of),
            _ => Ok(format!("{name}({})", args.join(", "))),
        }
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        function: &AggregateFunction,
        types: &Types,
    ) -> Result<String, Refusal> {
        let printed = call.print(&call.name);
        let Some(arg) = function.params.args.first() else { return Ok(printed) };
        match (call.name.as_str(), class(arg, types)) {
            ("sum", Some(Class::Whole)) => Ok(whole_sum(&printed, arg, types)),
            ("sum", Some(Class::Decimal)) => {
                let to = types.of(&Expr::AggregateFunction(function.clone()));
                self.cast(&printed, &to.ok_or_else(|| Refusal::new("sum", "has no type"))?)
            }
            ("avg", Some(Class::Decimal)) => self.decimal_average(call, arg, types),
            _ => Ok(printed),
        }
    }
}

impl Postgres<'_> {
    /// A part of a date, which is a float there; years before the first have no zeroth among them there.
    fn date_part(&self, part: &Expr, of: &str) -> Result<String, Refusal> {
        let Expr::Literal(ScalarValue::Utf8(Some(part)), _) = part else {
            return Err(Refusal::new("date_part", "its part is not a literal"));
        };
        let part = part.to_lowercase();
        let call = format!("date_part({}, {of})", self.text(&part));
        let call = match part.as_str() {
            "year" => format!("({call} + CASE WHEN ({call} < 0) THEN 1 ELSE 0 END)"),
            _ => call,
        };
        self.cast(&call, &DataType::Int32)
    }

    /// The sum divided by the count and cut off after the digits that the type has, as DataFusion does; there a division
    /// of decimals would round.
    fn decimal_average(&self, call: &AggregateCall, arg: &Expr, types: &Types) -> Result<String, Refusal> {
        let (to, scale) = average(arg, types).ok_or_else(|| Refusal::new("avg", "has more digits than its type"))?;
        let (sum, count) = (call.print("sum"), call.print("count"));
        let zeros = "0".repeat(scale);
        let unit = format!("0.{}1", "0".repeat(scale.saturating_sub(1)));
        self.cast(&format!("div({sum} * 1{zeros}, {count}) * {unit}"), &to)
    }
}

/// A sum of whole numbers, of any length there, as the number of 64 bits that it wraps to here.
fn whole_sum(sum: &str, arg: &Expr, types: &Types) -> String {
    const HALF: i128 = 1 << 63;
    const WHOLE: i128 = 1 << 64;
    match range(arg, types) {
        Some((low, high)) if low >= -SUMMAND_MAX && high <= SUMMAND_MAX => format!("CAST({sum} AS bigint)"),
        _ => format!("CAST(mod(mod({sum} + {HALF}, {WHOLE}) + {WHOLE}, {WHOLE}) - {HALF} AS bigint)"),
    }
}

fn by_bytes(printed: &str) -> String {
    const COLLATION: &str = " COLLATE \"C\"";
    if printed.ends_with(COLLATION) { printed.to_owned() } else { format!("{printed}{COLLATION}") }
}

#[cfg(test)]
mod tests;

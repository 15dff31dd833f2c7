//! SQLite's dialect: a few types, columns that hold values of any, and functions that the connector brings.
//!
//! In a statement truth is 0 or 1, a date is its days and a time its microseconds; text compares by bytes. A column becomes
//! that where it leaves its table. One that may hold values of other types is checked wherever anything depends on it, and
//! passed on as it is where nothing does: whoever reads it refuses what is not of its type.

pub(crate) mod functions;
mod words;

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, Between, BinaryExpr, InList, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

use self::words::{date_words, is_words_of_a_float, literal, text, type_name};
use super::{AggregateCall, DataFusion, Dialect, Place};
use crate::statement::allow::classes::{Class, class};
use crate::statement::allow::sqlite::{admit, admit_key};
use crate::statement::refusal::Refusal;
use crate::statement::types::{Call, Form, Origin, Stored, StoredTables, Types};

/// SQLite as the connector brings it, over tables that are stored as `stored` tells.
#[derive(Debug)]
pub(in crate::statement) struct Sqlite<'a> {
    pub(in crate::statement) stored: &'a StoredTables,
}

impl Dialect for Sqlite<'_> {
    fn identifier(&self, name: &str) -> String {
        DataFusion.identifier(name)
    }

    fn text(&self, value: &str) -> String {
        text(value)
    }

    fn bytes(&self, value: &[u8]) -> String {
        DataFusion.bytes(value)
    }

    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal> {
        literal(value)
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
        self.identifier(name)
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        match kind {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => DataFusion.join(kind),
            _ => Err(Refusal::new("join", "is not a FROM item there")),
        }
    }

    /// CROSS JOIN would keep SQLite from choosing the order.
    fn cross_join(&self) -> &'static str {
        "JOIN"
    }

    fn values(&self, rows: &[String], alias: &str, columns: &[String]) -> String {
        let columns = columns.iter().enumerate().map(|(position, name)| format!("column{} AS {name}", position + 1));
        let columns: Vec<String> = columns.collect();
        format!("(SELECT {} FROM (VALUES {})) AS {alias}", columns.join(", "), rows.join(", "))
    }

    fn limit(&self, skip: usize, fetch: Option<usize>) -> String {
        match (skip, fetch) {
            (0, None) => String::new(),
            (0, Some(fetch)) => format!(" LIMIT {fetch}"),
            (skip, None) => format!(" LIMIT -1 OFFSET {skip}"),
            (skip, Some(fetch)) => format!(" LIMIT {fetch} OFFSET {skip}"),
        }
    }

    fn like_function(&self) -> Option<&'static str> {
        Some(functions::LIKE)
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
            Expr::GroupingSet(_) => Err(Refusal::new("grouping set", "is not there")),
            expr => admit_key(expr, types),
        }
    }

    /// SQLite's joins are loops: without an index, which it makes for stored keys alone, of one side over all of the other.
    fn admit_join(&self, _kind: JoinType, on: &[Expr], types: &Types) -> Result<(), Refusal> {
        let is_key = |condition: &Expr| match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::IsNotDistinctFrom, right }) => {
                let form = stored_form(left, types);
                form.is_some() && form == stored_form(right, types)
            }
            _ => false,
        };
        if on.iter().any(is_key) { Ok(()) } else { Err(Refusal::new("join", "is of no keys that an index could hold")) }
    }

    fn column(&self, printed: String, column: &Column, place: Place, types: &Types) -> String {
        let origin = types.origin(column);
        let printed = match origin {
            Some(Origin::Table(_)) => by_bytes(printed, column, types),
            _ => printed,
        };
        match call_of(column, types) {
            Some(call) if place != Place::Passed || call.form != Form::Value => called(&printed, call),
            _ => printed,
        }
    }

    fn ordered(&self, printed: String, _expr: &Expr, _types: &Types) -> String {
        printed
    }

    fn ordering(&self, key: &str, sort: &Sort) -> String {
        DataFusion.ordering(key, sort)
    }

    /// Beside a condition over checked values the one over values as they are stored: an index may answer that one, and
    /// where it does not hold, there is nothing to check.
    fn condition(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        Ok(match as_stored(expr, types) {
            Some(stored) => format!("{stored} AND {printed}"),
            None => printed,
        })
    }

    fn computed(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        if !matches!(expr, Expr::Column(_)) {
            let to = types.of(expr).ok_or_else(|| Refusal::new("projection", "has a column without a type"))?;
            type_name(&to)?;
        }
        Ok(printed)
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        let name = match function.name() {
            "character_length" => functions::LENGTH,
            "starts_with" => functions::STARTS_WITH,
            "substr" => functions::SUBSTR,
            "date_part" => functions::PART_OF_DATE,
            name => name,
        };
        Ok(format!("{name}({})", args.join(", ")))
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        _function: &AggregateFunction,
        _types: &Types,
    ) -> Result<String, Refusal> {
        Ok(call.print(match call.name.as_str() {
            "sum" => functions::SUM,
            "bool_and" => "min",
            "bool_or" => "max",
            name => name,
        }))
    }
}

/// What makes of a stored column what it holds, if anything has to.
fn call_of<'a>(column: &Column, types: &'a Types) -> Option<&'a Call> {
    match types.origin(column) {
        Some(Origin::Table(Stored::Call(call)) | Origin::Step(Stored::Call(call))) => Some(call),
        _ => None,
    }
}

fn called(printed: &str, call: &Call) -> String {
    let arguments: Vec<&str> = std::iter::once(printed).chain(call.arguments.iter().map(String::as_str)).collect();
    format!("{}({})", call.function, arguments.join(", "))
}

/// A column of a table may be declared to compare its text in another way.
fn by_bytes(printed: String, column: &Column, types: &Types) -> String {
    let is_text = class(&Expr::Column(column.clone()), types) == Some(Class::Text);
    if is_text { format!("{printed} COLLATE BINARY") } else { printed }
}

/// `expr` over values as they are stored, where it then holds for every row for which it holds over checked values; nothing
/// if it is over nothing that has to be checked, or is not of such a form.
fn as_stored(expr: &Expr, types: &Types) -> Option<String> {
    if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) = expr {
        return Some(format!("({} OR {})", as_stored(left, types)?, as_stored(right, types)?));
    }
    let (words, sides) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => (comparison(*op)?, vec![left.as_ref(), right.as_ref()]),
        Expr::Between(Between { expr, negated: false, low, high }) => {
            ("BETWEEN", vec![expr.as_ref(), low.as_ref(), high.as_ref()])
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            ("IN", std::iter::once(expr.as_ref()).chain(list).collect())
        }
        _ => return None,
    };
    let is_checked = |side: &&Expr| matches!(side, Expr::Column(column) if call_of(column, types).is_some());
    let form = sides.iter().copied().find(is_checked).and_then(|side| stored_form(side, types))?;
    if form == Form::EqualShown && !matches!(words, "=" | "IN" | NOT_DISTINCT) {
        return None;
    }
    let sides = sides.into_iter().map(|side| side_as_stored(side, form, types)).collect::<Option<Vec<_>>>()?;
    let (first, rest) = sides.split_first()?;
    Some(match words {
        "BETWEEN" => format!("({first} BETWEEN {})", rest.join(" AND ")),
        "IN" => format!("({first} IN ({}))", rest.join(", ")),
        operator => format!("({first} {operator} {})", rest.concat()),
    })
}

const NOT_DISTINCT: &str = "IS NOT DISTINCT FROM";

fn comparison(operator: Operator) -> Option<&'static str> {
    Some(match operator {
        Operator::Eq => "=",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        Operator::IsNotDistinctFrom => NOT_DISTINCT,
        _ => return None,
    })
}

/// In which form a column is stored that stands as it is stored.
fn stored_form(side: &Expr, types: &Types) -> Option<Form> {
    let Expr::Column(column) = side else { return None };
    match call_of(column, types) {
        Some(Call { form: Form::Other, .. }) => None,
        Some(call) => Some(call.form),
        None => Some(Form::Value),
    }
}

/// A column or a literal, if it is stored in this form.
fn side_as_stored(side: &Expr, form: Form, types: &Types) -> Option<String> {
    match side {
        Expr::Literal(value, _) if value.is_null() => None,
        Expr::Literal(value, _) if form == Form::OrderedText => date_words(value),
        Expr::Literal(value, _) if form == Form::EqualShown && is_words_of_a_float(value) => None,
        Expr::Literal(value, _) => literal(value).ok(),
        Expr::Column(column) if stored_form(side, types) == Some(form) => {
            let name = DataFusion.identifier(&column.name);
            let relation = column.relation.as_ref().map(|table| format!("{}.", DataFusion.identifier(table.table())));
            Some(by_bytes(format!("{}{name}", relation.unwrap_or_default()), column, types))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

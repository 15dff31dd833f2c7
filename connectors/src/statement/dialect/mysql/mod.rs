//! The dialect of MySQL and MariaDB: text that compares by bytes, NULLs ordered by a key of their own, and numbers of one
//! size that are given the size they have in the plan where they are read.

mod words;

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, InList, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

use self::words::{type_name, words};
use super::{AggregateCall, DataFusion, Dialect, Place};
use crate::statement::allow::classes::{Class, average, class, class_of, position};
use crate::statement::allow::mysql::{QUOTIENT_DIGITS, admit, admit_key};
use crate::statement::digits::range_of;
use crate::statement::refusal::Refusal;
use crate::statement::types::{Origin, Stored, StoredTables, Types};

/// MySQL 8 or MariaDB 10.5 or later, over tables that are stored as `stored` tells, in a session in which `"` is for names, `\`
/// is a character and `||` concatenates.
///
/// Text: a column of a table is said under the collation, and so is every text that leaves a step. Text columns told
/// [`Stored::Plain`] or `Long(None)` are of the character set utf8mb4, whatever their own collation.
#[derive(Debug)]
pub(in crate::statement) struct Mysql<'a> {
    pub(in crate::statement) stored: &'a StoredTables,
    /// A collation of utf8mb4 by bytes that pads nothing. It is the session's own, so literals have it.
    pub(in crate::statement) collation: &'static str,
}

/// What MySQL takes for no limit at all: OFFSET cannot stand alone.
const NO_LIMIT: usize = usize::MAX;

impl Dialect for Mysql<'_> {
    fn identifier(&self, name: &str) -> String {
        DataFusion.identifier(name)
    }

    fn text(&self, value: &str) -> String {
        DataFusion.text(value)
    }

    fn bytes(&self, value: &[u8]) -> String {
        DataFusion.bytes(value)
    }

    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal> {
        match value {
            value if value.is_null() => self.cast("NULL", &value.data_type()),
            ScalarValue::Boolean(Some(truth)) => Ok(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
            ScalarValue::Utf8(Some(text)) if !is_read_alike(text) => {
                Ok(self.by_bytes(&format!("_utf8mb4 {}", self.bytes(text.as_bytes()))))
            }
            ScalarValue::Utf8(Some(text)) => Ok(self.text(text)),
            ScalarValue::Binary(Some(bytes)) => Ok(self.bytes(bytes)),
            value => words(value),
        }
    }

    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        Ok(format!("CAST({printed} AS {})", type_name(to)?))
    }

    fn try_cast(&self, _printed: &str, _to: &DataType) -> Result<String, Refusal> {
        Err(Refusal::new("try_cast", "is not there"))
    }

    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal> {
        match operator {
            // Of whole numbers, and of no others.
            Operator::Divide => Ok("DIV"),
            Operator::IsNotDistinctFrom => Ok("<=>"),
            Operator::IsDistinctFrom => Err(Refusal::new("IS DISTINCT FROM", "is not an operator there")),
            other => DataFusion.operator(other),
        }
    }

    /// A function's name in quotes would be one of the user's own functions.
    fn function(&self, name: &str) -> String {
        name.to_uppercase()
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        match kind {
            JoinType::Inner | JoinType::Left | JoinType::Right => DataFusion.join(kind),
            _ => Err(Refusal::new("join", "is not a FROM item there")),
        }
    }

    fn cross_join(&self) -> &'static str {
        DataFusion.cross_join()
    }

    /// Refused before: the two servers do not say it alike.
    fn values(&self, rows: &[String], alias: &str, columns: &[String]) -> String {
        DataFusion.values(rows, alias, columns)
    }

    fn limit(&self, skip: usize, fetch: Option<usize>) -> String {
        let fetch = if skip > 0 { fetch.or(Some(NO_LIMIT)) } else { fetch };
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
        admit(expr, types)
    }

    fn admit_key(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        match expr {
            Expr::GroupingSet(_) => Err(Refusal::new("grouping set", "is not there")),
            expr => admit_key(expr, types),
        }
    }

    /// Without a key that an index or a hash finds, the server compares each row with each: text is compared under another
    /// collation than its indexes have.
    fn admit_join(&self, _kind: JoinType, on: &[Expr], types: &Types) -> Result<(), Refusal> {
        let is_key = |condition: &Expr| match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                let is_found = !matches!(class(left, types), None | Some(Class::Text | Class::Bytes));
                is_found && !left.column_refs().is_empty() && !right.column_refs().is_empty()
            }
            _ => false,
        };
        if on.iter().any(is_key) { Ok(()) } else { Err(Refusal::new("join", "has no key that is looked up there")) }
    }

    fn column(&self, printed: String, column: &Column, _place: Place, types: &Types) -> String {
        let printed = match types.origin(column) {
            Some(Origin::Table(Stored::Cast(to) | Stored::Long(Some(to)))) => format!("CAST({printed} AS {to})"),
            Some(Origin::Table(Stored::Plain | Stored::Long(None)) | Origin::Values) => printed,
            Some(Origin::Table(Stored::Opaque | Stored::Call(_)) | Origin::Step(_)) | None => return printed,
        };
        let is_text = class(&Expr::Column(column.clone()), types) == Some(Class::Text);
        if is_text { self.by_bytes(&printed) } else { printed }
    }

    fn ordered(&self, printed: String, expr: &Expr, types: &Types) -> String {
        let is_text = class(expr, types) == Some(Class::Text);
        if is_text && !matches!(expr, Expr::Column(_)) { self.by_bytes(&printed) } else { printed }
    }

    /// There NULL is less than every value.
    fn ordering(&self, key: &str, sort: &Sort) -> String {
        let direction = if sort.asc { "ASC" } else { "DESC" };
        let nulls = match (sort.asc, sort.nulls_first) {
            (true, true) | (false, false) => String::new(),
            (true, false) => format!("({key} IS NULL) ASC, "),
            (false, true) => format!("({key} IS NULL) DESC, "),
        };
        format!("{nulls}{key} {direction}")
    }

    /// What is equal by bytes is equal under the column's own collation, whose index may find it.
    fn condition(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        let (column, members, operator) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), member) | (member, Expr::Column(column)) => (column, vec![member], "="),
                _ => return Ok(printed),
            },
            Expr::InList(InList { expr, list, negated: false }) => match expr.as_ref() {
                Expr::Column(column) => (column, list.iter().collect(), "IN"),
                _ => return Ok(printed),
            },
            _ => return Ok(printed),
        };
        let literals: Option<Vec<String>> = members.into_iter().map(|member| self.text_literal(member)).collect();
        match (self.stored_text(column, types), literals) {
            (Some(column), Some(literals)) => {
                Ok(format!("({column} {operator} ({})) AND {printed}", literals.join(", ")))
            }
            _ => Ok(printed),
        }
    }

    /// Decimals are exact there up to 65 digits, and what has more than fits here is refused where it is read.
    fn computed(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        if matches!(expr, Expr::Column(_)) {
            return Ok(printed);
        }
        let to = types.of(expr).ok_or_else(|| Refusal::new("projection", "has a column without a type"))?;
        match (expr, class_of(&to)) {
            (_, None) => Err(Refusal::new("projection", format!("makes {to}, which is not there"))),
            (Expr::AggregateFunction(_), Some(Class::Moment)) => Ok(printed),
            (_, Some(Class::Moment)) => Err(Refusal::new("projection", "makes a moment, which is stored there only")),
            (_, Some(Class::Float)) if to == DataType::Float32 => {
                Err(Refusal::new("projection", "makes a float of 32 bits, which is stored there only"))
            }
            (_, Some(Class::Text)) => Ok(self.by_bytes(&printed)),
            _ => Ok(printed),
        }
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        let name = self.function(function.name());
        match (function.name(), function.args.as_slice(), args.as_slice()) {
            // CONCAT is NULL where one of its parts is.
            ("concat", _, args) => Ok(format!("CONCAT_WS('', {})", args.join(", "))),
            ("substr", [_, positions @ ..], [text, ..]) => {
                let positions = positions.iter().filter_map(|arg| position(arg, 0)).map(|at| at.to_string());
                let args: Vec<String> = std::iter::once(text.clone()).chain(positions).collect();
                Ok(format!("{name}({})", args.join(", ")))
            }
            ("date_part", [Expr::Literal(ScalarValue::Utf8(Some(part)), _), _], [_, of]) => {
                Ok(format!("EXTRACT({} FROM {of})", part.to_uppercase()))
            }
            ("date_part", ..) => Err(Refusal::new("date_part", "its part is not a literal")),
            _ => Ok(format!("{name}({})", args.join(", "))),
        }
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        function: &AggregateFunction,
        types: &Types,
    ) -> Result<String, Refusal> {
        let name = match call.name.as_str() {
            "bool_and" => "MIN".to_owned(),
            "bool_or" => "MAX".to_owned(),
            name => self.function(name),
        };
        let printed = call.print(&name);
        let Some(arg) = function.params.args.first() else { return Ok(printed) };
        match (call.name.as_str(), class(arg, types)) {
            ("sum", Some(Class::Whole)) => self.whole_sum(&printed, function, types),
            ("avg", Some(Class::Decimal)) => decimal_average(call, arg, types),
            _ => Ok(printed),
        }
    }
}

impl Mysql<'_> {
    /// A column of text as it stands in its table.
    fn stored_text(&self, column: &Column, types: &Types) -> Option<String> {
        let stands = matches!(types.origin(column), Some(Origin::Table(Stored::Plain | Stored::Long(None))));
        let is_text = class(&Expr::Column(column.clone()), types) == Some(Class::Text);
        let relation = column.relation.as_ref().filter(|_| stands && is_text)?;
        Some(format!("{}.{}", self.identifier(relation.table()), self.identifier(&column.name)))
    }

    /// A literal of text that has no collation of its own.
    fn text_literal(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) if is_read_alike(text) => Some(self.text(text)),
            _ => None,
        }
    }

    fn by_bytes(&self, printed: &str) -> String {
        let collation = format!(" COLLATE {}", self.collation);
        if printed.ends_with(&collation) { printed.to_owned() } else { format!("{printed}{collation}") }
    }

    /// A sum of whole numbers, of any length there, as the number of 64 bits that it wraps to here.
    fn whole_sum(&self, sum: &str, function: &AggregateFunction, types: &Types) -> Result<String, Refusal> {
        const WHOLE: i128 = 1 << 64;
        let to = types.of(&Expr::AggregateFunction(function.clone()));
        let to = to.ok_or_else(|| Refusal::new("sum", "has no type"))?;
        match range_of(&to) {
            Some((0, _)) => self.cast(&format!("MOD({sum}, {WHOLE})"), &to),
            Some((least, _)) => {
                let least = -least;
                let wrapped = format!("MOD(MOD({sum} + {least}, {WHOLE}) + {WHOLE}, {WHOLE}) - {least}");
                self.cast(&wrapped, &to)
            }
            None => Err(Refusal::new("sum", "is not a whole number")),
        }
    }
}

/// Whether whoever reads a statement, the driver too, takes the same of it for `text` between quotes. To some a backslash hides
/// the quote that follows it, and a zero ends the statement.
fn is_read_alike(text: &str) -> bool {
    !text.contains(['\\', '\0'])
}

/// The sum divided by the count and cut off after the digits that the type has, as DataFusion does; there a division rounds,
/// so it is made long enough that it does not round where it is cut.
fn decimal_average(call: &AggregateCall, arg: &Expr, types: &Types) -> Result<String, Refusal> {
    let (_, scale) = average(arg, types).ok_or_else(|| Refusal::new("avg", "has more digits than its type"))?;
    let (sum, count) = (call.print("SUM"), call.print("COUNT"));
    let one = format!("1.{}", "0".repeat(QUOTIENT_DIGITS));
    Ok(format!("TRUNCATE({sum} * {one} / {count}, {scale})"))
}

#[cfg(test)]
mod tests;

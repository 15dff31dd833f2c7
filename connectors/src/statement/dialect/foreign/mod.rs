//! The dialect of a foreign server. Of one that runs on another version of DataFusion: this one's, with types named as every version
//! reads them, and with whatever a version may type otherwise cast to what it is here. Of any other: what every engine reads.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

use super::{AggregateCall, DataFusion, Dialect, Place, is_key_of_two};
use crate::statement::allow::classes::{self, Class, class_of};
use crate::statement::allow::{any_sql, other_datafusion};
use crate::statement::literal;
use crate::statement::refusal::Refusal;
use crate::statement::types::{Origin, Stored, StoredTables, Types};

/// A foreign server, over tables that are stored as `stored` tells.
#[derive(Debug)]
pub(in crate::statement) struct Foreign<'a> {
    pub(in crate::statement) engine: ForeignEngine,
    pub(in crate::statement) stored: &'a StoredTables,
}

/// What is known of the engine behind a foreign server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignEngine {
    /// It is DataFusion, of whatever version.
    DataFusion,
    /// Nothing but that it reads SQL.
    Unknown,
}

impl Dialect for Foreign<'_> {
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
        if self.engine == ForeignEngine::Unknown {
            return digits(value);
        }
        match (value, class_of(&value.data_type())) {
            (_, None) => Err(Refusal::new(
                "literal",
                format!("is of type {}, of which nothing is known there", value.data_type()),
            )),
            (ScalarValue::Float32(Some(number)), _) if !number.is_finite() => Err(no_words()),
            (ScalarValue::Float64(Some(number)), _) if !number.is_finite() => Err(no_words()),
            _ => literal::print(value, self),
        }
    }

    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        if self.engine == ForeignEngine::Unknown {
            return Err(Refusal::new("cast", "is said in another way by each engine"));
        }
        Ok(format!("arrow_cast({printed}, {})", self.text(&type_name(to)?)))
    }

    fn try_cast(&self, _printed: &str, _to: &DataType) -> Result<String, Refusal> {
        Err(Refusal::new("try_cast", "is not in every version"))
    }

    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal> {
        DataFusion.operator(operator)
    }

    fn function(&self, name: &str) -> String {
        DataFusion.function(name)
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        DataFusion.join(kind)
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
        DataFusion.says_existence(kind)
    }

    fn stored(&self, table: &TableReference, column: &str) -> Stored {
        self.stored.of(table, column)
    }

    fn part(&self, table: &TableReference) -> Option<&str> {
        self.stored.part_of(table)
    }

    fn admit(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        match self.engine {
            ForeignEngine::DataFusion => other_datafusion::admit(expr, types),
            ForeignEngine::Unknown => any_sql::admit(expr, types),
        }
    }

    fn admit_key(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        match expr {
            Expr::GroupingSet(_) => Err(Refusal::new("grouping set", "is numbered otherwise by some versions there")),
            expr => classes::admit_key(expr, types),
        }
    }

    /// Conditions beside the keys of a full join once decided about rows of both sides.
    fn admit_join(&self, kind: JoinType, on: &[Expr], _types: &Types) -> Result<(), Refusal> {
        if kind == JoinType::Full && (on.is_empty() || !on.iter().all(is_key_of_two)) {
            return Err(Refusal::new("join", "is full, under a condition that is not of keys"));
        }
        Ok(())
    }

    fn column(&self, printed: String, column: &Column, place: Place, types: &Types) -> String {
        match types.origin(column) {
            // The type's name has been taken when the column was told.
            Some(Origin::Table(Stored::Cast(to))) if place != Place::EqualsLiterals => {
                format!("arrow_cast({printed}, {})", self.text(to))
            }
            _ => printed,
        }
    }

    fn ordered(&self, printed: String, _expr: &Expr, _types: &Types) -> String {
        printed
    }

    fn ordering(&self, key: &str, sort: &Sort) -> String {
        DataFusion.ordering(key, sort)
    }

    fn condition(&self, printed: String, _expr: &Expr, _types: &Types) -> Result<String, Refusal> {
        Ok(printed)
    }

    fn computed(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        match (expr, types.of(expr)) {
            // Its sum or product may have another precision there.
            (Expr::BinaryExpr(_) | Expr::Negative(_), Some(to @ DataType::Decimal128(..))) => self.cast(&printed, &to),
            _ => Ok(printed),
        }
    }

    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        match (expr, self.engine) {
            // The column that stands for rows without columns.
            (Expr::Literal(..), ForeignEngine::Unknown) => return Ok(format!("CAST({printed} AS BIGINT)")),
            (Expr::Column(_) | Expr::Literal(..) | Expr::Cast(_), _) => return Ok(printed),
            _ => {}
        }
        let to = types.of(expr).ok_or_else(|| Refusal::new("projection", "has a column without a type"))?;
        match class_of(&to) {
            None => Err(Refusal::new("projection", format!("makes {to}, of which nothing is known there"))),
            Some(Class::Truth) => Ok(printed),
            Some(_) if printed.starts_with("arrow_cast(") => Ok(printed),
            Some(_) => self.cast(&printed, &to),
        }
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        let call = DataFusion.scalar_call(function, args)?;
        match function.name() {
            "date_part" => self.cast(&call, &DataType::Int32),
            _ => Ok(call),
        }
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        function: &AggregateFunction,
        types: &Types,
    ) -> Result<String, Refusal> {
        DataFusion.aggregate_call(call, function, types)
    }
}

/// A whole number in digits, which take the type of what they are compared with.
fn digits(value: &ScalarValue) -> Result<String, Refusal> {
    match (value.cast_to(&DataType::Int64), class_of(&value.data_type())) {
        (Ok(ScalarValue::Int64(Some(number))), Some(Class::Whole)) if number >= 0 => Ok(number.to_string()),
        (Ok(ScalarValue::Int64(Some(number))), Some(Class::Whole)) => Ok(format!("({number})")),
        _ => {
            Err(Refusal::new("literal", format!("is of type {}, which engines write in other ways", value.data_type())))
        }
    }
}

fn no_words() -> Refusal {
    Refusal::new("literal", "is a float without digits, which not every version reads")
}

/// The name of a type as versions have read it since they read names of types; what is not named here has had others.
pub(in crate::statement) fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "Second",
        TimeUnit::Millisecond => "Millisecond",
        TimeUnit::Microsecond => "Microsecond",
        TimeUnit::Nanosecond => "Nanosecond",
    };
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..) => data_type.to_string(),
        DataType::Time32(of) => format!("Time32({})", unit(of)),
        DataType::Time64(of) => format!("Time64({})", unit(of)),
        DataType::Timestamp(of, None) => format!("Timestamp({}, None)", unit(of)),
        DataType::Timestamp(of, Some(zone)) => format!("Timestamp({}, Some(\"{zone}\"))", unit(of)),
        other => return Err(Refusal::new(other.to_string(), "is a type that not every version names so")),
    })
}

#[cfg(test)]
mod tests;

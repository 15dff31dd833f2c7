//! The functions that a connection brings: what makes of a stored value what its column holds, and what SQLite's own
//! functions do otherwise than DataFusion's.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, Date32Array};
use arrow::compute::{DatePart, date_part};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};
use regex::Regex;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, Result};

use super::config::Epoch;
use super::types::type_name;
use super::words;
use crate::database::misfit::Misfit;
use crate::error::ConnectorError;
use crate::statement::sqlite_functions as names;

const DAY_US: i64 = 86_400_000_000;

/// The value that a function has refused last, which SQLite's own error does not tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<Mutex<Option<ConnectorError>>>);

impl Refused {
    /// What was refused since this was last asked.
    pub(super) fn take(&self) -> Option<ConnectorError> {
        self.lock().take()
    }

    fn tell(&self, error: ConnectorError) {
        *self.lock() = Some(error);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ConnectorError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a function makes of a value that is not NULL.
enum Made {
    /// The value as it is.
    Itself,
    Integer(i64),
    Text(String),
}

impl ToSql for Made {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Itself => ToSqlOutput::Arg(0),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(words) => ToSqlOutput::Borrowed(ValueRef::Text(words.as_bytes())),
        })
    }
}

/// Brings all functions into `connection`; whole numbers in columns of dates and times count `epoch`.
pub(super) fn install(connection: &Connection, epoch: Option<Epoch>, refused: &Refused) -> Result<()> {
    let micros = TimeUnit::Microsecond;
    let makers: [(&str, DataType, Maker); 8] = [
        (names::INTEGER, DataType::Int64, Box::new(|_, value| itself(matches!(value, ValueRef::Integer(_))))),
        (names::REAL, DataType::Float64, Box::new(|_, value| itself(matches!(value, ValueRef::Real(_))))),
        (names::TEXT, DataType::Utf8, Box::new(|_, value| text(value).map(|_| Made::Itself))),
        (names::BLOB, DataType::Binary, Box::new(|_, value| itself(matches!(value, ValueRef::Blob(_))))),
        (names::BOOLEAN, DataType::Boolean, Box::new(|_, value| itself(matches!(value, ValueRef::Integer(0 | 1))))),
        (names::DATE, DataType::Date32, Box::new(move |_, value| date(value, epoch))),
        (names::TIME, DataType::Time64(micros), Box::new(|_, value| words::time(text(value)?).map(Made::Integer))),
        (names::SHOWN, DataType::Utf8, Box::new(|_, value| shown(value))),
    ];
    for (name, data_type, maker) in makers {
        bring(connection, name, refused, move |_| Ok(data_type.clone()), maker)?;
    }
    let of_zone = move |ctx: &Context<'_>| {
        let zone: Option<String> = if ctx.len() > 3 { ctx.get(3)? } else { None };
        Ok(DataType::Timestamp(micros, zone.map(Arc::from)))
    };
    bring(connection, names::TIMESTAMP, refused, of_zone, Box::new(move |_, value| timestamp(value, epoch)))?;
    let of_size = |ctx: &Context<'_>| Ok(DataType::Decimal128(ctx.get(3)?, ctx.get(4)?));
    bring(connection, names::DECIMAL, refused, of_size, Box::new(decimal))?;
    install_plain(connection)?;
    connection.create_aggregate_function(names::SUM, 1, FLAGS, WrappingSum)
}

/// What of a value that is not NULL comes out of a function.
type Maker = Box<dyn Fn(&Context<'_>, ValueRef<'_>) -> std::result::Result<Made, Misfit> + Send>;

/// Equal arguments, equal values; and no view of the file may call them.
const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_DIRECTONLY);

/// A function of a stored value, with the names of its table and column after it, or of a literal.
fn bring(
    connection: &Connection,
    name: &str,
    refused: &Refused,
    data_type: impl Fn(&Context<'_>) -> Result<DataType> + Send + 'static,
    maker: Maker,
) -> Result<()> {
    let refused = refused.clone();
    connection.create_scalar_function(name, -1, FLAGS, move |ctx| {
        let value = ctx.get_raw(0);
        if value == ValueRef::Null {
            return Ok(Made::Itself);
        }
        maker(ctx, value).or_else(|misfit| {
            let (table, column): (String, String) = (ctx.get(1)?, ctx.get(2)?);
            let field = Field::new(column, data_type(ctx)?, true);
            refused.tell(misfit.at(&format!("table `{table}`"), &field, type_name));
            Err(Error::UserFunctionError("a value is not of its column's type".into()))
        })
    })
}

fn itself(is_one: bool) -> std::result::Result<Made, Misfit> {
    if is_one { Ok(Made::Itself) } else { Err(Misfit::Kind) }
}

fn text(value: ValueRef<'_>) -> std::result::Result<&str, Misfit> {
    match value {
        ValueRef::Text(bytes) => str::from_utf8(bytes).map_err(|_| Misfit::Encoding),
        _ => Err(Misfit::Kind),
    }
}

fn date(value: ValueRef<'_>, epoch: Option<Epoch>) -> std::result::Result<Made, Misfit> {
    match (value, epoch) {
        (ValueRef::Integer(count), Some(epoch)) => match count.checked_mul(epoch.micros()) {
            Some(micros) if micros % DAY_US == 0 => Ok(Made::Integer(micros / DAY_US)),
            _ => Err(Misfit::Kind),
        },
        (value, _) => words::date(text(value)?).map(|days| Made::Integer(days.into())),
    }
}

fn timestamp(value: ValueRef<'_>, epoch: Option<Epoch>) -> std::result::Result<Made, Misfit> {
    match (value, epoch) {
        (ValueRef::Integer(count), Some(epoch)) => {
            let micros = count.checked_mul(epoch.micros()).filter(|micros| words::has_year(*micros));
            micros.map(Made::Integer).ok_or(Misfit::Year)
        }
        (value, _) => words::timestamp(text(value)?).map(Made::Integer),
    }
}

fn decimal(ctx: &Context<'_>, value: ValueRef<'_>) -> std::result::Result<Made, Misfit> {
    let declared = ctx.get(3).and_then(|precision| Ok((precision, ctx.get(4)?)));
    let (precision, scale): (u8, i8) = declared.map_err(|_| Misfit::Malformed)?;
    words::stored_decimal(value, precision, scale).map(|_| Made::Itself)
}

/// Numbers in digits, text as it is; bytes have no words.
fn shown(value: ValueRef<'_>) -> std::result::Result<Made, Misfit> {
    match value {
        ValueRef::Integer(number) => Ok(Made::Text(number.to_string())),
        ValueRef::Real(number) => Ok(Made::Text(format!("{number:?}"))),
        value => text(value).map(|_| Made::Itself),
    }
}

/// Functions of values that are of their types. NULL makes NULL.
fn install_plain(connection: &Connection) -> Result<()> {
    connection.create_scalar_function(names::FLOAT_OF_BITS, 1, FLAGS, |ctx| {
        Ok(f64::from_bits(ctx.get::<i64>(0)?.cast_unsigned()))
    })?;
    connection.create_scalar_function(names::LENGTH, 1, FLAGS, |ctx| {
        let words: Option<&str> = ctx.get_raw(0).str_or_null()?;
        Ok(words.map(|words| i64::try_from(words.chars().count()).unwrap_or(i64::MAX)))
    })?;
    connection.create_scalar_function(names::SUBSTR, -1, FLAGS, |ctx| {
        let Some(words) = ctx.get_raw(0).str_or_null()? else { return Ok(None) };
        let start = usize::try_from(ctx.get::<i64>(1)?).unwrap_or(1).saturating_sub(1);
        let count = if ctx.len() > 2 { usize::try_from(ctx.get::<i64>(2)?).unwrap_or(0) } else { usize::MAX };
        Ok(Some(words.chars().skip(start).take(count).collect::<String>()))
    })?;
    connection.create_scalar_function(names::STARTS_WITH, 2, FLAGS, |ctx| {
        let (words, start) = (ctx.get_raw(0).str_or_null()?, ctx.get_raw(1).str_or_null()?);
        Ok(words.zip(start).map(|(words, start)| words.starts_with(start)))
    })?;
    connection.create_scalar_function(names::LIKE, 2, FLAGS, |ctx| {
        let Some(words) = ctx.get_raw(0).str_or_null()? else { return Ok(None) };
        let pattern = ctx.get_or_create_aux(1, |pattern| match pattern.as_str() {
            Ok(pattern) => like(pattern).map_err(|error| Error::UserFunctionError(error.into())),
            Err(error) => Err(error.into()),
        })?;
        Ok(Some(pattern.is_match(words)))
    })?;
    connection.create_scalar_function(names::PART_OF_DATE, 2, FLAGS, |ctx| {
        let Some(days) = ctx.get::<Option<i32>>(1)? else { return Ok(None) };
        let part = *ctx.get_or_create_aux(0, |part| part.as_str().map_err(Error::from).map(part_of))?;
        let made =
            date_part(&Date32Array::from(vec![days]), part).map_err(|error| Error::UserFunctionError(error.into()))?;
        Ok(made.as_primitive_opt::<Int32Type>().and_then(|parts| parts.values().first().copied()))
    })
}

/// `%` is any text and `_` any character; nothing escapes.
fn like(pattern: &str) -> std::result::Result<Regex, regex::Error> {
    let mut expression = String::from("(?s)^");
    for character in pattern.chars() {
        match character {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    Regex::new(&expression)
}

fn part_of(name: &str) -> DatePart {
    match name.to_ascii_lowercase().as_str() {
        "year" => DatePart::Year,
        "quarter" => DatePart::Quarter,
        "month" => DatePart::Month,
        _ => DatePart::Day,
    }
}

/// Text, NULL, or an error.
trait Words<'a> {
    fn str_or_null(self) -> Result<Option<&'a str>>;
}

impl<'a> Words<'a> for ValueRef<'a> {
    fn str_or_null(self) -> Result<Option<&'a str>> {
        match self {
            ValueRef::Null => Ok(None),
            value => Ok(Some(value.as_str()?)),
        }
    }
}

/// `sum` of whole numbers as DataFusion has it: it wraps, and of no number it is NULL.
struct WrappingSum;

impl Aggregate<Option<i64>, Option<i64>> for WrappingSum {
    fn init(&self, _ctx: &mut Context<'_>) -> Result<Option<i64>> {
        Ok(None)
    }

    fn step(&self, ctx: &mut Context<'_>, sum: &mut Option<i64>) -> Result<()> {
        if let Some(number) = ctx.get::<Option<i64>>(0)? {
            *sum = Some(sum.unwrap_or(0).wrapping_add(number));
        }
        Ok(())
    }

    fn finalize(&self, _ctx: &mut Context<'_>, sum: Option<Option<i64>>) -> Result<Option<i64>> {
        Ok(sum.flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(epoch: Option<Epoch>) -> (Connection, Refused) {
        let (connection, refused) = (Connection::open_in_memory().unwrap(), Refused::default());
        install(&connection, epoch, &refused).unwrap();
        (connection, refused)
    }

    fn check(epoch: Option<Epoch>, expression: &str, expect: &str) {
        let (connection, refused) = connection(epoch);
        let value = connection.query_row(&format!("SELECT {expression}"), [], |row| row.get::<_, Value>(0));
        let shown = match value {
            Ok(Value::Null) => "NULL".to_owned(),
            Ok(Value::Integer(number)) => number.to_string(),
            Ok(Value::Real(number)) => format!("{number:?}"),
            Ok(Value::Text(words)) => words,
            Ok(Value::Blob(bytes)) => format!("{bytes:?}"),
            Err(_) => refused.take().map_or("error".to_owned(), |error| error.to_string()),
        };
        assert!(shown.starts_with(expect), "{expression}: {shown}");
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_name() {
        check(None, "chancery_integer(7, 't', 'n')", "7");
        check(None, "chancery_integer(NULL, 't', 'n')", "NULL");
        let refused = "table `t`, column `n` of type INTEGER: holds a value that is not a Int64; correct the data";
        check(None, "chancery_integer('secret', 't', 'n')", refused);
        check(None, "chancery_integer(1.5, 't', 'n')", refused);
        check(None, "chancery_real(1.5, 't', 'n')", "1.5");
        check(None, "chancery_real(1, 't', 'n')", "table `t`, column `n` of type REAL: holds");
        check(None, "chancery_text(X'61', 't', 'n')", "table `t`, column `n` of type TEXT: holds");
        check(None, "chancery_text(CAST(X'ff' AS TEXT), 't', 'n')", "table `t`, column `n` of type TEXT: holds bytes");
        check(None, "chancery_boolean(1, 't', 'n')", "1");
        check(None, "chancery_boolean(2, 't', 'n')", "table `t`, column `n` of type BOOLEAN: holds");
        check(None, "chancery_decimal(0.5, 't', 'n', 10, 2)", "0.5");
        let refused =
            "table `t`, column `n` of type DECIMAL(10, 2): holds a value that is not exactly a Decimal128(10, 2)";
        check(None, "chancery_decimal(0.125, 't', 'n', 10, 2)", refused);
        check(None, "chancery_shown(1e300, 't', 'n')", "1e300");
        check(None, "chancery_shown(X'00', 't', 'n')", "table `t`, column `n` of type TEXT: holds");
    }

    #[test]
    fn dates_and_times_are_numbers() {
        check(None, "chancery_date('2024-02-29')", "19782");
        check(
            None,
            "chancery_date('2024-02-30', 't', 'day')",
            "table `t`, column `day` of type DATE: holds text that is not read",
        );
        check(
            None,
            "chancery_date(0, 't', 'day')",
            "table `t`, column `day` of type DATE: holds a value that is not a Date32",
        );
        check(Some(Epoch::Seconds), "chancery_date(86400, 't', 'day')", "1");
        check(Some(Epoch::Seconds), "chancery_date(86401, 't', 'day')", "table `t`, column `day`");
        check(None, "chancery_time('00:00:01')", "1000000");
        check(None, "chancery_timestamp('1970-01-01T00:00:00.000001')", "1");
        check(Some(Epoch::Milliseconds), "chancery_timestamp(-1, 't', 'at')", "-1000");
        let refused = "table `t`, column `at` of type TIMESTAMPTZ: holds a value of a year";
        check(Some(Epoch::Seconds), "chancery_timestamp(9223372036854775807, 't', 'at', 'UTC')", refused);
        let refused = "table `t`, column `at` of type DATETIME: holds text that is not read";
        check(Some(Epoch::Seconds), "chancery_timestamp('then', 't', 'at')", refused);
        check(None, "chancery_part('YEAR', -719528)", "0");
        check(None, "chancery_part('quarter', 19782)", "1");
        check(None, "chancery_part('day', NULL)", "NULL");
    }

    #[test]
    fn functions_mean_what_datafusions_do() {
        check(None, "chancery_float(4607182418800017408)", "1.0");
        check(None, "chancery_length('a' || char(0) || '𠮷')", "3");
        check(None, "chancery_substr('a𠮷b', 2)", "𠮷b");
        check(None, "chancery_substr('a𠮷b', 2, 1)", "𠮷");
        check(None, "chancery_substr(NULL, 2, 1)", "NULL");
        check(None, "chancery_starts_with('abc', 'ab')", "1");
        check(None, "chancery_starts_with('abc', NULL)", "NULL");
        check(None, "chancery_like('a.B\n', 'a._%')", "1");
        check(None, "chancery_like('ab', 'A%')", "0");
        check(None, "chancery_like('a', '%[a]%')", "0");
        check(None, "chancery_like(NULL, '%')", "NULL");
        check(
            None,
            "chancery_sum(n) FROM (SELECT 9223372036854775807 AS n UNION ALL SELECT 1)",
            "-9223372036854775808",
        );
        check(None, "chancery_sum(n) FROM (SELECT NULL AS n)", "NULL");
        check(None, "chancery_sum(n) FROM (SELECT 1 AS n WHERE FALSE)", "NULL");
        check(None, "chancery_sum(DISTINCT n) FROM (SELECT 2 AS n UNION ALL SELECT 2)", "2");
    }

    #[test]
    fn no_view_calls_them() {
        let (connection, _) = connection(None);
        connection.execute_batch("CREATE VIEW v AS SELECT chancery_length('a') AS n").unwrap();
        assert!(connection.query_row("SELECT n FROM v", [], |row| row.get::<_, i64>(0)).is_err());
    }
}

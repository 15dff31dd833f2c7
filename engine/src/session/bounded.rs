//! Functions whose answer, or whose work, may be much larger than what they are given, under a bound: they allocate outside the
//! memory pool and do not yield, and are asked for the size before they do.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::config::limits::Limits;
use crate::error::{Code, EngineError};
use crate::exec::value_bytes::bytes_of;
use crate::session::process_memory::room_for;
use crate::session::watchdog;

/// How much a function makes of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first, as often as the second says.
    Repeats,
    /// A text of as many characters as the second says.
    Pads,
    /// A list of as many elements as the second says.
    Resizes,
    /// Every step from the first to the second.
    Counts,
    /// The third for each occurrence of the second in the first.
    Replaces,
    /// All of them, one after the other.
    Joins,
    /// The second between the elements of the first.
    Separates,
    /// An element for each character of the first.
    Splits,
    /// What a pattern, the second, makes of the first.
    Formats,
    /// What its type says.
    Casts,
    /// Nothing to speak of; but each part of the first is compared with each of the second.
    Compares,
}

/// The functions that are bounded.
const GROWING: [(&str, Growth); 26] = [
    ("repeat", Growth::Repeats),
    ("array_repeat", Growth::Repeats),
    ("lpad", Growth::Pads),
    ("rpad", Growth::Pads),
    ("array_resize", Growth::Resizes),
    ("range", Growth::Counts),
    ("generate_series", Growth::Counts),
    ("replace", Growth::Replaces),
    ("regexp_replace", Growth::Replaces),
    ("concat", Growth::Joins),
    ("concat_ws", Growth::Joins),
    ("overlay", Growth::Joins),
    ("make_array", Growth::Joins),
    ("array_concat", Growth::Joins),
    ("array_append", Growth::Joins),
    ("array_prepend", Growth::Joins),
    ("array_union", Growth::Joins),
    ("array_to_string", Growth::Separates),
    ("string_to_array", Growth::Splits),
    ("array_replace_all", Growth::Replaces),
    ("to_char", Growth::Formats),
    ("arrow_cast", Growth::Casts),
    ("arrow_try_cast", Growth::Casts),
    ("levenshtein", Growth::Compares),
    ("array_has_all", Growth::Compares),
    ("array_has_any", Growth::Compares),
];
/// What one row compares, at most: no statement can be stopped within it.
const COMPARED_MAX: u64 = 100_000_000;
/// What more rows compare before it is asked whether anybody wants it.
const COMPARED_AT_ONCE: u64 = 10_000_000;

/// The session with its growing functions under a bound.
///
/// # Errors
/// When a function cannot be registered: a defect.
pub fn bound_functions(mut state: SessionState, limits: &Limits) -> Result<SessionState> {
    let (bytes_max, value_bytes_max) = (limits.function_bytes_max, limits.literal_bytes_max);
    for (name, growth) in GROWING {
        let function = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Bounded { function, growth, bytes_max, value_bytes_max })))?;
    }
    Ok(state)
}

/// A function that is asked for the size of its answer first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
    /// Of the answer for a batch of rows.
    bytes_max: usize,
    /// Of one value, which may come to stand in every row.
    value_bytes_max: usize,
}

impl Bounded {
    /// What a function is simplified to calls the growing functions as DataFusion has them; they are under the bound again.
    fn bounded(&self, expr: Expr) -> Result<Expr> {
        let bounded = expr.transform_up(|expr| match expr {
            Expr::ScalarFunction(mut call) if !is_bounded(&call.func) => {
                let growth = GROWING.iter().find(|(name, _)| *name == call.func.name()).map(|(_, growth)| *growth);
                let Some(growth) = growth else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
                let function = Self { function: Arc::clone(&call.func), growth, ..*self };
                call.func = Arc::new(ScalarUDF::from(function));
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(bounded.data)
    }

    /// What takes long, a part of the rows at a time, for as long as anybody wants it.
    fn compare(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one_value = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let parts = compared(self.function.name(), &args, if is_one_value { 1 } else { args.number_rows })?;
        if parts.len() < 2 {
            return self.function.inner().invoke_with_args(args);
        }
        let mut made = Vec::with_capacity(parts.len());
        for rows in &parts {
            watchdog::is_wanted()?;
            made.push(self.function.inner().invoke_with_args(of_rows(&args, rows))?.into_array(rows.len())?);
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }

    /// What the function may make for these rows, in bytes.
    fn check(&self, args: &ScalarFunctionArgs) -> Result<usize> {
        let is_one_value = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let (most, of_what) = match is_one_value {
            true => (self.value_bytes_max, "one value that stands in every row (`literal_bytes_max`)"),
            false => (self.bytes_max, "one batch of rows (`function_bytes_max`)"),
        };
        if self.growth == Growth::Resizes && has_negative_size(args)? {
            let sentence = format!("the size of `{}` is negative in some row", self.function.name());
            return Err(EngineError::new(Code::Eval, sentence).into());
        }
        let name = self.function.name();
        let made = usize::try_from(bytes_made(self.growth, args, is_one_value)?).unwrap_or(usize::MAX);
        if made <= most {
            return Ok(made);
        }
        let sentence =
            format!("the function `{name}` would make more than {most} bytes of {of_what}; ask for less at once");
        Err(EngineError::new(Code::Memory, sentence).into())
    }
}

/// Whether a function is asked for the size of its answer.
fn is_bounded(function: &ScalarUDF) -> bool {
    let function: &dyn Any = function.inner().as_ref();
    function.is::<Bounded>()
}

/// Whether a list is to have a negative number of elements. Of NULL nothing is made, whatever its size.
fn has_negative_size(args: &ScalarFunctionArgs) -> Result<bool> {
    let [list, size, ..] = args.args.as_slice() else { return Ok(false) };
    let rows = args.number_rows;
    let (list, size) = (Values::of(list, rows)?, Values::of(size, rows)?);
    Ok((0..rows).any(|row| size.number(row) < 0 && !list.is_null(row)))
}

/// Where rows are cut that compare much together.
///
/// # Errors
/// `COST` for a row that compares more.
fn compared(function: &str, args: &ScalarFunctionArgs, rows: usize) -> Result<Vec<Range<usize>>> {
    let [left, right, ..] = args.args.as_slice() else { return Ok(std::iter::once(0..rows).collect()) };
    let (left, right) = (Values::of(left, rows)?, Values::of(right, rows)?);
    let (mut parts, mut from, mut sum) = (Vec::new(), 0, 0_u64);
    for row in 0..rows {
        let pairs = left.parts(row).saturating_mul(right.parts(row));
        if pairs > COMPARED_MAX {
            let sentence = format!(
                "the function `{function}` would make more than {COMPARED_MAX} comparisons for one row; give it less"
            );
            return Err(EngineError::new(Code::Cost, sentence).into());
        }
        if row > from && sum.saturating_add(pairs) > COMPARED_AT_ONCE {
            parts.push(from..row);
            (from, sum) = (row, 0);
        }
        sum = sum.saturating_add(pairs);
    }
    parts.push(from..rows);
    Ok(parts)
}

/// The arguments of some of the rows.
fn of_rows(args: &ScalarFunctionArgs, rows: &Range<usize>) -> ScalarFunctionArgs {
    let part = |argument: &ColumnarValue| match argument {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(rows.start, rows.len())),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs { args: args.args.iter().map(part).collect(), number_rows: rows.len(), ..args.clone() }
}

/// A bound on the bytes of an answer.
fn bytes_made(growth: Growth, args: &ScalarFunctionArgs, is_one_value: bool) -> Result<u64> {
    let rows = args.number_rows;
    if growth == Growth::Casts {
        return Ok(fixed_bytes(args.return_type()).saturating_mul(rows as u64));
    }
    // What is the same for each row is made once.
    let made_rows = if is_one_value { 1 } else { rows };
    let columns: Vec<Values> = args.args.iter().map(|arg| Values::of(arg, made_rows)).collect::<Result<_>>()?;
    let of = |column: usize, row: usize| columns.get(column).map_or(0, |values| values.bytes(row));
    let number =
        |column: usize, row: usize| columns.get(column).map_or(0, |values| values.number(row).max(0).cast_unsigned());
    let each_row = |row: usize| match growth {
        Growth::Repeats => of(0, row).saturating_add(PER_ELEMENT).saturating_mul(number(1, row)),
        Growth::Pads => number(1, row).saturating_mul(CHARACTER_BYTES_MAX),
        Growth::Resizes => number(1, row).saturating_mul(of(2, row).max(PER_ELEMENT)),
        Growth::Counts => counted(&columns, row).saturating_mul(PER_ELEMENT),
        Growth::Replaces => {
            // The pattern of a regular expression may be found at every place, and each group holds some of the text once.
            let places = of(0, row).saturating_add(1);
            let groups = of(2, row).min(GROUPS_MAX);
            places.saturating_mul(of(2, row)).saturating_add(of(0, row).saturating_mul(groups + 1))
        }
        Growth::Joins => {
            (0..columns.len()).map(|column| of(column, row)).fold(0, u64::saturating_add).saturating_mul(2)
        }
        Growth::Separates => of(0, row).saturating_mul(of(1, row).saturating_add(1)),
        Growth::Splits => of(0, row).saturating_mul(1 + PER_ELEMENT),
        Growth::Formats => of(1, row).saturating_mul(CHARACTERS_OF_A_PATTERN_MAX),
        Growth::Casts | Growth::Compares => 0,
    };
    Ok((0..made_rows).map(each_row).fold(0, u64::saturating_add))
}

/// The name of a type, which its parser reads with a call for each level, on a stack that ends.
const TYPE_NAME_BYTES_MAX: usize = 1_024;
const TYPE_NAME_LEVELS_MAX: usize = 16;

fn check_type_name(name: &str) -> Result<()> {
    let mut levels = 0_usize;
    let is_deep = name.bytes().any(|byte| {
        match byte {
            b'(' => levels += 1,
            b')' => levels = levels.saturating_sub(1),
            _ => {}
        }
        levels > TYPE_NAME_LEVELS_MAX
    });
    if name.len() <= TYPE_NAME_BYTES_MAX && !is_deep {
        return Ok(());
    }
    let sentence = format!(
        "the name of a type has {} bytes, or nests deeper than may be read; at most {TYPE_NAME_BYTES_MAX} bytes and \
         {TYPE_NAME_LEVELS_MAX} levels are read here",
        name.len()
    );
    Err(EngineError::new(Code::Complexity, sentence).into())
}

/// Bytes that are compared as fast as a number.
const PER_COMPARISON: u64 = 64;
/// An element of a list has some bytes, whatever it holds.
const PER_ELEMENT: u64 = 8;
const CHARACTER_BYTES_MAX: u64 = 4;
/// `%c` is a whole date and time.
const CHARACTERS_OF_A_PATTERN_MAX: u64 = 16;
/// Groups that a replacement names.
const GROUPS_MAX: u64 = 100;

fn fixed_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(size) => u64::try_from(*size).unwrap_or(u64::MAX),
        DataType::FixedSizeList(field, size) => {
            fixed_bytes(field.data_type()).max(1).saturating_mul(u64::try_from(*size).unwrap_or(u64::MAX))
        }
        DataType::List(field) | DataType::LargeList(field) | DataType::ListView(field) => {
            fixed_bytes(field.data_type())
        }
        DataType::Struct(fields) => {
            fields.iter().map(|field| fixed_bytes(field.data_type())).fold(0, u64::saturating_add)
        }
        _ => 0,
    }
}

/// The elements from one end to the other.
fn counted(columns: &[Values], row: usize) -> u64 {
    let end = |column: usize| columns.get(column).map_or(0, |values| values.moment(row));
    let (from, to) = if columns.len() < 2 { (0, end(0)) } else { (end(0), end(1)) };
    let step = if columns.len() < 3 { 1 } else { end(2) };
    let distance = u64::try_from(to.abs_diff(from)).unwrap_or(u64::MAX);
    let step = u64::try_from(step.unsigned_abs()).unwrap_or(u64::MAX).max(1);
    if (to >= from) == (end(2) >= 0 || columns.len() < 3) { (distance / step).saturating_add(1) } else { 0 }
}

/// An argument, row by row.
struct Values {
    array: ArrayRef,
    /// The same as numbers, where they are some.
    numbers: Option<ArrayRef>,
    /// One value that stands for each row.
    is_scalar: bool,
}

impl Values {
    fn of(argument: &ColumnarValue, rows: usize) -> Result<Self> {
        let (array, is_scalar) = match argument {
            ColumnarValue::Array(array) => (Arc::clone(array), rows != array.len()),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let is_number = array.data_type().is_numeric() || array.data_type().is_temporal();
        let numbers = if is_number { cast(&array, &DataType::Int64).ok() } else { None };
        Ok(Self { array, numbers, is_scalar })
    }

    fn row(&self, row: usize) -> usize {
        if self.is_scalar { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        let row = self.row(row);
        row >= self.array.len() || self.array.is_null(row)
    }

    fn bytes(&self, row: usize) -> u64 {
        if self.is_null(row) {
            return 0;
        }
        let row = self.row(row);
        match self.array.data_type() {
            DataType::Utf8 => self.array.as_string::<i32>().value(row).len() as u64,
            DataType::LargeUtf8 => self.array.as_string::<i64>().value(row).len() as u64,
            DataType::Utf8View => self.array.as_string_view().value(row).len() as u64,
            _ => self.array.slice(row, 1).to_data().get_slice_memory_size().map_or(u64::MAX, |bytes| bytes as u64),
        }
    }

    /// What is compared of a value: the bytes of a text, the elements of a list, or more of them where they are texts.
    fn parts(&self, row: usize) -> u64 {
        if self.is_null(row) {
            return 0;
        }
        let place = self.row(row);
        let elements = match self.array.data_type() {
            DataType::List(_) => self.array.as_list::<i32>().value(place),
            DataType::LargeList(_) => self.array.as_list::<i64>().value(place),
            DataType::FixedSizeList(_, _) => self.array.as_fixed_size_list().value(place),
            _ => return self.bytes(row),
        };
        (elements.len() as u64).max(bytes_of(elements.as_ref()) as u64 / PER_COMPARISON)
    }

    fn number(&self, row: usize) -> i64 {
        let row = self.row(row);
        let numbers = self.numbers.as_ref().and_then(|numbers| numbers.as_primitive_opt::<Int64Type>());
        numbers.filter(|numbers| row < numbers.len() && numbers.is_valid(row)).map_or(0, |numbers| numbers.value(row))
    }

    /// A number, or a time or an interval in nanoseconds.
    fn moment(&self, row: usize) -> i128 {
        const DAY_NS: i128 = 86_400 * 1_000_000_000;
        let place = self.row(row);
        if let Some(intervals) = self.array.as_primitive_opt::<IntervalMonthDayNanoType>() {
            if place >= intervals.len() || intervals.is_null(place) {
                return 0;
            }
            let interval = intervals.value(place);
            return i128::from(interval.months) * 28 * DAY_NS
                + i128::from(interval.days) * DAY_NS
                + i128::from(interval.nanoseconds);
        }
        let unit = match self.array.data_type() {
            DataType::Date32 => DAY_NS,
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            _ => 1,
        };
        i128::from(self.number(row)) * unit
    }
}

impl ScalarUDFImpl for Bounded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.growth == Growth::Compares {
            return self.compare(args);
        }
        let _room = room_for(self.check(&args)?)?;
        self.function.inner().invoke_with_args(args)
    }

    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.inner().aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.inner().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.growth == Growth::Casts {
            let named = args.scalar_arguments.get(1).copied().flatten();
            named.and_then(|name| name.try_as_str().flatten()).map_or(Ok(()), check_type_name)?;
        }
        self.function.inner().return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let function = Arc::new(self.function.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self { function, ..*self }))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.function.inner().simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => Ok(ExprSimplifyResult::Simplified(self.bounded(expr)?)),
            original => Ok(original),
        }
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.function.inner().preimage(args, value, info)
    }

    fn short_circuits(&self) -> bool {
        self.function.inner().short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.inner().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function.inner().evaluate_bounds(inputs)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.function.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.inner().preserves_lex_ordering(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.inner().coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    /// What it makes, or the code of the refusal, under a bound of a million bytes.
    async fn told(sql: &str) -> String {
        let limits = Limits { function_bytes_max: 1_000_000, ..Limits::default() };
        let state = bound_functions(SessionContext::new().state(), &limits).unwrap();
        let context = SessionContext::new_with_state(state);
        let run = async { context.sql(sql).await?.collect().await };
        match run.await {
            Ok(batches) => format!("{} rows", batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>()),
            Err(error) => EngineError::of_running(error).code().to_string(),
        }
    }

    #[tokio::test]
    async fn a99_what_is_too_large_is_not_made() {
        for sql in [
            "SELECT repeat('x', 1500000000)",
            "SELECT repeat(column1, column2) FROM (VALUES ('x', 1), ('yy', 1000000))",
            "SELECT generate_series(1, 400000000)",
            "SELECT range(1, 9223372036854775807)",
            "SELECT range(9223372036854775807, -9223372036854775807, -1)",
            "SELECT generate_series(-9223372036854775808, 9223372036854775807)",
            "SELECT generate_series(9223372036854775807, -9223372036854775808, -1)",
            "SELECT generate_series(TIMESTAMP '1900-01-01', TIMESTAMP '2100-01-01', INTERVAL '1 second')",
            "SELECT range(DATE '0001-01-01', DATE '9999-01-01', INTERVAL '1 day')",
            "SELECT array_repeat(1, 100000000)",
            "SELECT array_resize([1], 100000000, 0)",
            "SELECT lpad('x', 1000000)",
            "SELECT rpad('x', 2000000000, 'ab')",
            "SELECT replace(repeat('x', 1000), 'x', repeat('y', 100000))",
            "SELECT regexp_replace(repeat('x', 1000), 'x', repeat('y', 100000), 'g')",
            "SELECT concat(a, a, a, a, a, a) FROM (SELECT repeat('x', 900000) AS a)",
            "SELECT array_to_string(range(1, 1000), repeat('x', 100000))",
            "SELECT to_char(column1, repeat('%c', 100000)) FROM (VALUES (DATE '2020-01-01'))",
        ] {
            assert_eq!(told(sql).await, "MEMORY", "{sql}");
        }
    }

    #[tokio::test]
    async fn a_negative_size_is_the_asker_s_mistake() {
        for sql in ["SELECT array_resize([1], -5)", "SELECT array_resize([1], n, 0) FROM (VALUES (1), (-1)) AS t(n)"] {
            assert_eq!(told(sql).await, "EVAL", "{sql}");
        }
    }

    #[tokio::test]
    async fn a96_a_type_is_no_deeper_than_its_parser_may_go() {
        let nested = |levels: usize| format!("{}Int8{}", "List(".repeat(levels), ")".repeat(levels));
        for name in [nested(17), nested(200_000), "List(".repeat(200_000), format!("Utf8{}", " ".repeat(1_100))] {
            for function in ["arrow_cast", "arrow_try_cast"] {
                assert_eq!(told(&format!("SELECT {function}(NULL, '{name}')")).await, "COMPLEXITY", "{function}");
            }
        }
        let hidden = (0..10_000).fold("Int8".to_string(), |inner, _| format!("Struct(\"))\": {inner})"));
        assert_eq!(told(&format!("SELECT arrow_cast(NULL, '{hidden}')")).await, "COMPLEXITY");
        assert_eq!(told(&format!("SELECT arrow_cast(NULL, '{}')", nested(16))).await, "1 rows");
    }

    #[tokio::test]
    async fn what_is_small_is_made_as_ever() {
        for sql in [
            "SELECT repeat('x', 1000), repeat('x', -1), repeat(NULL, 5)",
            "SELECT lpad('x', 5, '*'), rpad('x', 5), lpad(NULL, 7)",
            "SELECT range(5), range(1, 10, 2), range(10, 1, -1), generate_series(5, 1), range(NULL, 2)",
            "SELECT generate_series(TIMESTAMP '2000-01-01', TIMESTAMP '2001-01-01', INTERVAL '1 month')",
            "SELECT concat('a', NULL, 5), concat_ws('-', 'a', 'b'), replace('aaa', 'a', 'bc'), replace('aaa', '', 'b')",
            "SELECT regexp_replace('https://www.example.org/a', '^https?://([^/]+)/.*$', '\\1')",
            "SELECT array_repeat([1, 2], 3), list_repeat('x', 2), array_resize([1], 3), array_to_string([1, 2], ',')",
            "SELECT array_resize(arrow_cast(NULL, 'List(Int64)'), -1), array_resize([1], arrow_cast(NULL, 'Int64'))",
            "SELECT to_char(DATE '2020-01-01', '%Y'), arrow_cast(1, 'Int16'), make_array(1, 2), array_append([1], 2)",
            "SELECT unnest(range(1, 2)), repeat('x', unnest([1]))",
        ] {
            assert_eq!(told(sql).await, "1 rows", "{sql}");
        }
    }
}

//! The functions that a site evaluates over governed data: one list, reviewed name by name. A function is allowed when its
//! value hangs on its arguments alone and its size is bounded by theirs; a name that stands on no list is refused, and a
//! test fails when DataFusion has one that is not here.

use arrow::datatypes::DataType;
use connectors::statement::{SIZE_MAX, SIZED_FUNCTIONS, type_size};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, TryCast};

use crate::error::{Code, EngineError, Result};

/// Scalar functions of numbers that are allowed.
const OF_NUMBERS: &str = "\
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot degrees exp factorial floor gcd greatest isnan
    iszero lcm least ln log log10 log2 nanvl pi power radians round signum sin sinh sqrt tan tanh trunc";

/// Scalar functions of texts and bytes that are allowed.
const OF_TEXTS: &str = "\
    ascii bit_length btrim character_length chr concat concat_ws contains decode digest encode ends_with find_in_set
    initcap left levenshtein lower ltrim md5 octet_length overlay regexp_count regexp_instr regexp_like regexp_match
    regexp_replace replace reverse right rtrim sha224 sha256 sha384 sha512 split_part starts_with string_to_array strpos
    substr substr_index to_hex translate upper";

/// Scalar functions of dates and times that are allowed.
const OF_TIME: &str = "\
    date_bin date_part date_trunc from_unixtime make_date make_time to_char to_date to_local_time to_time to_timestamp
    to_timestamp_micros to_timestamp_millis to_timestamp_nanos to_timestamp_seconds to_unixtime";

/// Scalar functions of lists and maps that are allowed.
const OF_LISTS: &str = "\
    array_add array_any_value array_append array_avg array_compact array_concat array_dims array_distance array_distinct
    array_element array_except array_has array_has_all array_has_any array_intersect array_length array_max array_min
    array_ndims array_normalize array_pop_back array_pop_front array_position array_positions array_prepend array_product
    array_remove array_remove_all array_remove_n array_replace array_replace_all array_replace_n array_reverse array_scale
    array_slice array_sort array_subtract array_sum array_to_string array_union arrays_zip cardinality cosine_distance
    empty flatten inner_product make_array map map_entries map_extract map_keys map_values";

/// Scalar functions of values of any type that are allowed.
const OF_ANYTHING: &str = "\
    arrow_typeof cast_to_type coalesce get_field named_struct nullif nvl nvl2 struct try_cast_to_type union_extract
    union_tag";

/// Scalar functions that are allowed.
const SCALAR: [&str; 5] = [OF_NUMBERS, OF_TEXTS, OF_TIME, OF_LISTS, OF_ANYTHING];

/// The clock. It is read once, before a plan runs: what is evaluated is a literal.
const CLOCK: &str = "current_date current_time now";

/// Casts to a type that is named by a text: allowed unless the type has a large size.
const TYPED: &str = "arrow_cast arrow_try_cast";

/// Functions of rows' and files' whereabouts and of the program: refused.
const METADATA: &str = "arrow_field arrow_metadata file_row_index input_file_name version with_metadata";

/// Those of them that nothing can evaluate once rows have left their files.
const OF_FILES: &str = "file_row_index input_file_name";

/// Functions with another value each time: refused.
const VOLATILE: &str = "random uuid";

/// Functions whose size no argument bounds: refused.
const UNBOUNDED: &str = "generate_series range";

/// Functions over a list with an expression of the asker's for each element; what stands inside is checked too.
const HIGHER_ORDER: &str = "array_any_match array_filter array_first array_transform";

/// Aggregate functions, all of them pure.
const AGGREGATE: &str = "\
    any_value approx_distinct approx_median approx_percentile_cont approx_percentile_cont_with_weight array_agg avg bit_and
    bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp first_value grouping last_value max median min nth_value
    percentile_cont regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev
    stddev_pop string_agg sum var var_pop";

/// Window functions, all of them pure.
const WINDOW: &str = "\
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number";

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split_whitespace()
}

/// What functions are about, as clients sort them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Numbers.
    Numbers,
    /// Texts and bytes.
    Texts,
    /// Dates and times.
    Time,
    /// Anything else.
    Anything,
}

/// The names of the scalar functions about something.
pub fn functions_about(subject: Subject) -> Vec<String> {
    let lists: &[&str] = match subject {
        Subject::Numbers => &[OF_NUMBERS],
        Subject::Texts => &[OF_TEXTS],
        Subject::Time => &[OF_TIME, CLOCK],
        Subject::Anything => &[OF_LISTS, OF_ANYTHING, TYPED],
    };
    lists.iter().flat_map(|list| names(list)).map(str::to_string).collect()
}

/// Refuses a statement that uses a function that is not allowed over governed data. The plan is analyzed and not yet
/// optimized: DataFusion evaluates calls over literals while it optimizes.
///
/// # Errors
/// `FUNCTION` with the function's name and the reason.
pub fn check_functions(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(function) = scan.table_name.table().strip_suffix("()")
        {
            return Err(refused(function, "makes rows of nothing").into());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| check_call(expr).map(|()| TreeNodeRecursion::Continue).map_err(Into::into))
        })
    })?;
    Ok(())
}

/// Refuses a statement that uses a function that is not pure, or that tells of files or of the program: all that a coordinator
/// refuses over what sites have released.
///
/// # Errors
/// `FUNCTION` with the function's name and the reason.
pub fn check_pure(plan: &LogicalPlan) -> Result<()> {
    check_names(plan, check_known)
}

/// Refuses a statement that asks a coordinator, which has no files, for a row's place in one.
///
/// # Errors
/// `FUNCTION` with the function's name and the reason.
pub fn check_of_files(plan: &LogicalPlan) -> Result<()> {
    check_names(plan, |name| match names(OF_FILES).any(|listed| listed == name) {
        true => Err(EngineError::new(
            Code::Function,
            format!("the function `{name}` is not offered here: only the site of a table knows its files"),
        )),
        false => Ok(()),
    })
}

fn check_names(plan: &LogicalPlan, check: impl Fn(&str) -> Result<()>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                Expr::ScalarFunction(call) => {
                    check(call.name()).map(|()| TreeNodeRecursion::Continue).map_err(Into::into)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

/// Refuses a scalar function that is not pure, or that tells of files or of the program.
fn check_known(name: &str) -> Result<()> {
    let is_of = |list: &str| names(list).any(|listed| listed == name);
    match () {
        () if is_of(METADATA) => Err(refused(name, "tells of where rows are kept")),
        () if is_of(VOLATILE) => Err(refused(name, "has another value each time")),
        () => Ok(()),
    }
}

fn check_call(expr: &Expr) -> Result<()> {
    match expr {
        Expr::ScalarFunction(call) => check_scalar(call),
        Expr::Cast(Cast { field, expr }) | Expr::TryCast(TryCast { field, expr }) => {
            match type_size(field.data_type()).saturating_mul(sizes_within(std::slice::from_ref(expr))) {
                size if size <= SIZE_MAX || type_size(field.data_type()) == 1 => Ok(()),
                _ => Err(refused("CAST", &format!("needs a type of a size of {SIZE_MAX} at most"))),
            }
        }
        Expr::HigherOrderFunction(call) => listed(call.func.name(), &[HIGHER_ORDER]),
        Expr::AggregateFunction(call) => listed(call.func.name(), &[AGGREGATE]),
        Expr::WindowFunction(call) => match &call.fun {
            datafusion::logical_expr::WindowFunctionDefinition::AggregateUDF(function) => {
                listed(function.name(), &[AGGREGATE])
            }
            datafusion::logical_expr::WindowFunctionDefinition::WindowUDF(function) => {
                listed(function.name(), &[WINDOW])
            }
        },
        _ => Ok(()),
    }
}

fn listed(name: &str, lists: &[&str]) -> Result<()> {
    match lists.iter().flat_map(|list| names(list)).any(|listed| listed == name) {
        true => Ok(()),
        false => Err(refused(name, "is not on the list of functions that are allowed")),
    }
}

fn check_scalar(call: &ScalarFunction) -> Result<()> {
    let name = call.name();
    let is_of = |list: &str| names(list).any(|listed| listed == name);
    if SIZED_FUNCTIONS.contains(&name) {
        return match size(&call.args, 1).is_some_and(|size| size.saturating_mul(sizes_within(&call.args)) <= SIZE_MAX) {
            true => Ok(()),
            false => Err(refused(name, &format!("needs a size that is written as a number, {SIZE_MAX} at most"))),
        };
    }
    if is_of(TYPED) {
        let size = written_type(call).map(|to| type_size(&to).saturating_mul(sizes_within(&call.args)));
        return match size.is_some_and(|size| size <= SIZE_MAX) {
            true => Ok(()),
            false => Err(refused(name, &format!("needs a type that is written, of a size of {SIZE_MAX} at most"))),
        };
    }
    check_known(name)?;
    match () {
        () if is_of(UNBOUNDED) => Err(refused(name, "may be of any size")),
        () if is_of(CLOCK) => Ok(()),
        () => listed(name, &SCALAR),
    }
}

fn refused(name: &str, reason: &str) -> EngineError {
    EngineError::new(Code::Function, format!("the function `{name}` is refused over governed tables: it {reason}"))
}

/// The type that a cast names.
fn written_type(call: &ScalarFunction) -> Option<DataType> {
    match call.args.get(1)? {
        Expr::Literal(ScalarValue::Utf8(Some(to)), _) => to.parse().ok(),
        _ => None,
    }
}

/// A size as it is written: a number, or one that a coordinator wrote with its type.
fn size(arguments: &[Expr], position: usize) -> Option<i64> {
    match arguments.get(position)? {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(size) => size,
            _ => None,
        },
        Expr::Cast(cast) => size(std::slice::from_ref(&cast.expr), 0),
        Expr::ScalarFunction(call) if call.name() == "arrow_cast" => size(&call.args, 0),
        Expr::Negative(_) => Some(0),
        _ => None,
    }
}

/// What sizes inside arguments make of one another: `repeat(repeat(x, 100), 100)` is 10,000 times as long.
fn sizes_within(arguments: &[Expr]) -> i64 {
    let mut product = 1_i64;
    for argument in arguments {
        // The visitor returns no error, so neither does the walk.
        let _: DataFusionResult<_> = argument.apply(|expr| {
            if let Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) = expr {
                product = product.saturating_mul(type_size(field.data_type()).max(1));
            }
            if let Expr::ScalarFunction(call) = expr {
                let grown = match call.name() {
                    sized if SIZED_FUNCTIONS.contains(&sized) => size(&call.args, 1).unwrap_or(i64::MAX),
                    typed if names(TYPED).any(|name| name == typed) => {
                        written_type(call).map_or(1, |to| type_size(&to))
                    }
                    _ => 1,
                };
                product = product.saturating_mul(grown.max(1));
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    product
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use connectors::statement::Accepts;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn set<'a>(lists: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        lists.into_iter().flat_map(names).map(str::to_string).collect()
    }

    /// A78: a name that comes with an upgrade is on no list, and is found here.
    #[test]
    fn the_lists_are_what_datafusion_has() {
        let state = SessionContext::new().state();
        let scalars: BTreeSet<String> = state.scalar_functions().values().map(|f| f.name().to_string()).collect();
        let sized = SIZED_FUNCTIONS.join(" ");
        assert_eq!(
            scalars,
            set(SCALAR.into_iter().chain([CLOCK, TYPED, METADATA, VOLATILE, UNBOUNDED, sized.as_str()]))
        );
        let of = |names: Vec<&str>| names.into_iter().map(str::to_string).collect::<BTreeSet<_>>();
        assert_eq!(of(state.aggregate_functions().values().map(|f| f.name()).collect()), set([AGGREGATE]));
        assert_eq!(of(state.window_functions().values().map(|f| f.name()).collect()), set([WINDOW]));
        assert_eq!(of(state.higher_order_functions().values().map(|f| f.name()).collect()), set([HIGHER_ORDER]));
        assert_eq!(of(state.table_functions().keys().map(String::as_str).collect()), set([UNBOUNDED]));
    }

    #[test]
    fn what_a_coordinator_sends_a_site_allows() {
        let accepts = Accepts::default();
        let sized = SIZED_FUNCTIONS.join(" ");
        assert!(accepts.scalar_functions.is_subset(&set(SCALAR.into_iter().chain([sized.as_str()]))));
        assert!(accepts.aggregate_functions.is_subset(&set([AGGREGATE])));
        assert!(accepts.window_functions.is_subset(&set([WINDOW])));
    }

    async fn check(sql: &str) -> Result<()> {
        let state = SessionContext::new().state();
        let plan = state.create_logical_plan(sql).await.unwrap();
        let analyzed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
        check_functions(&analyzed)
    }

    #[tokio::test]
    async fn refused_with_their_names() {
        for (function, sql) in [
            ("version", "SELECT version()"),
            ("random", "SELECT 1 WHERE random() > 0.5"),
            ("uuid", "SELECT (SELECT uuid())"),
            ("arrow_metadata", "SELECT arrow_metadata(1, 'x')"),
            ("range", "SELECT range(1, 5)"),
            ("generate_series", "SELECT * FROM generate_series(1, 400000000)"),
            ("repeat", "SELECT repeat('x', 1500000000)"),
            ("repeat", "SELECT repeat('x', column1) FROM (VALUES (1), (2))"),
            ("repeat", "SELECT repeat(repeat('x', 500), 500)"),
            ("lpad", "SELECT lpad('x', 1001)"),
            ("array_repeat", "SELECT array_repeat(1, 100000000)"),
            ("arrow_cast", "SELECT arrow_cast(NULL, 'FixedSizeBinary(2147483647)')"),
            ("arrow_cast", "SELECT arrow_cast(NULL, 'List(FixedSizeList(100 x FixedSizeBinary(100)))')"),
            ("repeat", "SELECT repeat(arrow_cast(arrow_cast(X'00', 'FixedSizeBinary(100)'), 'Binary')::text, 100)"),
            ("random", "SELECT sum(column1) FROM (VALUES (1)) GROUP BY column1 HAVING max(random()) > 0"),
        ] {
            let error = check(sql).await.unwrap_err();
            assert_eq!(error.code(), Code::Function, "{sql}");
            assert!(error.sentence().contains(&format!("`{function}`")), "{error}");
        }
    }

    #[tokio::test]
    async fn places_in_files_are_not_told() {
        let state = SessionContext::new().state();
        for (sql, refused) in [("SELECT 1 WHERE input_file_name() LIKE 'a%'", true), ("SELECT version()", false)] {
            let plan = state.create_logical_plan(sql).await.unwrap();
            assert_eq!(check_of_files(&plan).is_err_and(|error| error.code() == Code::Function), refused, "{sql}");
        }
    }

    #[tokio::test]
    async fn allowed() {
        for sql in [
            "SELECT now(), current_date",
            "SELECT lpad('x', 5, '*'), rpad('x', arrow_cast('5', 'Int64')), repeat('x', -1)",
            "SELECT arrow_cast(1, 'Int16'), upper('x'), array_sort([2, 1])",
            "SELECT arrow_cast(X'0001', 'FixedSizeBinary(2)'), arrow_cast(NULL, 'FixedSizeList(16 x Float32)')",
            "SELECT sum(column1), rank() OVER (ORDER BY column1) FROM (VALUES (1)) GROUP BY column1",
        ] {
            check(sql).await.unwrap();
        }
    }
}

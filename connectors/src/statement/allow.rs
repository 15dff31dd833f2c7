//! What a statement may hold: the one list of operators and functions. What is not named here is refused.

pub(super) mod any_sql;
pub(super) mod classes;
pub(super) mod mysql;
pub(super) mod other_datafusion;
pub(super) mod postgres;
pub(super) mod sqlite;

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion_common::{JoinType, ScalarValue};
use datafusion_expr::expr::{GroupingSet, ScalarFunction};
use datafusion_expr::{Distinct, Expr, FetchType, Join, LogicalPlan, SkipType};

use super::refusal::Refusal;

/// What the far side of a statement accepts.
///
/// `Accepts::default()` is a Chancery site: every operator and function of this file. A far side that takes less is
/// described by taking names away.
#[derive(Debug, Clone)]
pub struct Accepts {
    /// Operators by name, such as `scan`, `join` and `empty relation`.
    pub operators: BTreeSet<String>,
    /// Scalar functions by name.
    pub scalar_functions: BTreeSet<String>,
    /// Aggregate functions by name, inside an aggregate and over a window.
    pub aggregate_functions: BTreeSet<String>,
    /// Functions that exist over a window only, by name.
    pub window_functions: BTreeSet<String>,
    /// The longest chain of steps; planning time grows with it.
    pub steps_max: usize,
    /// The longest text.
    pub text_bytes_max: usize,
}

impl Default for Accepts {
    fn default() -> Self {
        Self {
            operators: OPERATORS.iter().map(|name| (*name).to_owned()).collect(),
            scalar_functions: words(SCALAR_FUNCTIONS),
            aggregate_functions: words(AGGREGATE_FUNCTIONS),
            window_functions: words(WINDOW_FUNCTIONS),
            // A chain of 160 steps was measured to plan in 48 ms.
            steps_max: 160,
            text_bytes_max: 1 << 20,
        }
    }
}

impl Accepts {
    /// What a SQL database takes that has these functions: every operator but windows, which frame and number otherwise.
    fn of_database(scalar_functions: &[&str], aggregate_functions: &[&str]) -> Self {
        let operators = OPERATORS.iter().filter(|name| **name != "window").map(|name| (*name).to_owned());
        Self {
            operators: operators.collect(),
            scalar_functions: words(scalar_functions),
            aggregate_functions: words(aggregate_functions),
            window_functions: BTreeSet::new(),
            ..Self::default()
        }
    }
}

fn words(lists: &[&str]) -> BTreeSet<String> {
    lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect()
}

/// Every operator that a statement can say.
const OPERATORS: &[&str] = &[
    "aggregate",
    "distinct",
    "empty relation",
    "filter",
    "join",
    "limit",
    "projection",
    "scan",
    "sort",
    "union",
    "values",
    "window",
];

/// Scalar functions that make a value as large as their second argument says. It must be a small number in the statement.
pub const SIZED_FUNCTIONS: &[&str] = &["array_repeat", "array_resize", "lpad", "repeat", "rpad"];

/// The largest size for [`SIZED_FUNCTIONS`]: a batch of them stays small.
pub const SIZE_MAX: i64 = 1000;

/// How often as large as an element of it a value of a type is, by the type's own words: NULLs of `FixedSizeBinary(1000)` take
/// 1,000 bytes each.
pub fn type_size(data_type: &DataType) -> i64 {
    match data_type {
        DataType::FixedSizeBinary(size) => i64::from(*size),
        DataType::FixedSizeList(item, size) => i64::from(*size).saturating_mul(type_size(item.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            type_size(item.data_type())
        }
        DataType::Map(entries, _) => type_size(entries.data_type()),
        DataType::RunEndEncoded(_, values) => type_size(values.data_type()),
        DataType::Dictionary(_, values) => type_size(values),
        DataType::Struct(fields) => {
            fields.iter().fold(0_i64, |sum, field| sum.saturating_add(type_size(field.data_type())))
        }
        DataType::Union(fields, _) => {
            fields.iter().fold(0_i64, |sum, (_, field)| sum.saturating_add(type_size(field.data_type())))
        }
        _ => 1,
    }
}

/// Refuses a call whose size is not said, or is large.
pub(super) fn check_size(function: &ScalarFunction) -> Result<(), Refusal> {
    let size = match function.args.get(1).map(|size| size.as_literal()) {
        Some(Some(size)) => size.cast_to(&DataType::Int64).ok(),
        _ => None,
    };
    match size {
        _ if !SIZED_FUNCTIONS.contains(&function.name()) => Ok(()),
        Some(ScalarValue::Int64(Some(size))) if size <= SIZE_MAX => Ok(()),
        _ => Err(Refusal::new(function.name(), "has a size that is not a small number")),
    }
}

/// Scalar functions whose value depends on their arguments alone, by topic. Functions of the clock, the session, chance
/// or the file that is read are absent: where they are legal, they are literals before a fragment is cut.
const SCALAR_FUNCTIONS: &[&str] = &[
    // Numbers.
    "\
     abs acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot degrees exp factorial
     floor gcd greatest isnan iszero lcm least ln log log10 log2 nanvl pi power radians
     round signum sin sinh sqrt tan tanh trunc",
    // Text and bytes.
    "\
     ascii bit_length btrim character_length chr concat concat_ws contains decode digest
     encode ends_with find_in_set initcap left levenshtein lower lpad ltrim md5 octet_length
     overlay regexp_count regexp_instr regexp_like regexp_match regexp_replace repeat
     replace reverse right rpad rtrim sha224 sha256 sha384 sha512 split_part starts_with
     string_to_array strpos substr substr_index to_hex translate upper",
    // Times.
    "\
     date_bin date_part date_trunc from_unixtime make_date to_char to_date to_local_time
     to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_nanos
     to_timestamp_seconds to_unixtime",
    // Lists.
    "\
     array_any_value array_append array_concat array_dims array_distance array_distinct
     array_element array_except array_has array_has_all array_has_any array_intersect
     array_length array_max array_min array_ndims array_pop_back array_pop_front
     array_position array_positions array_prepend array_remove array_remove_all
     array_remove_n array_repeat array_replace array_replace_all array_replace_n
     array_resize array_reverse array_slice array_sort array_to_string array_union
     cardinality empty flatten make_array",
    // Any type.
    "\
     arrow_typeof coalesce get_field nullif nvl nvl2",
];

/// Aggregate functions, inside an aggregate and over a window.
const AGGREGATE_FUNCTIONS: &[&str] = &["\
    approx_distinct approx_median approx_percentile_cont approx_percentile_cont_with_weight
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp
    first_value last_value max median min nth_value percentile_cont regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev
    stddev_pop string_agg sum var var_pop"];

/// Functions that exist over a window only.
const WINDOW_FUNCTIONS: &[&str] = &["\
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number"];

/// The name of a node's operator; `None` for a node that is only a name for its input.
pub(super) fn operator(plan: &LogicalPlan) -> Option<&'static str> {
    Some(match plan {
        LogicalPlan::Projection(_) => "projection",
        LogicalPlan::Filter(_) => "filter",
        LogicalPlan::Window(_) => "window",
        LogicalPlan::Aggregate(_) => "aggregate",
        LogicalPlan::Sort(_) => "sort",
        LogicalPlan::Join(_) => "join",
        LogicalPlan::Union(_) => "union",
        LogicalPlan::TableScan(_) => "scan",
        LogicalPlan::EmptyRelation(_) => "empty relation",
        LogicalPlan::Limit(_) => "limit",
        LogicalPlan::Values(_) => "values",
        LogicalPlan::Distinct(Distinct::All(_)) => "distinct",
        LogicalPlan::Distinct(Distinct::On(_)) => "distinct on",
        LogicalPlan::RecursiveQuery(_) => "recursive query",
        LogicalPlan::Unnest(_) => "unnest",
        LogicalPlan::Extension(_) => "extension",
        LogicalPlan::Subquery(subquery) if !subquery.outer_ref_columns.is_empty() => "correlated subquery",
        LogicalPlan::Subquery(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Repartition(_) => {
            return None;
        }
        _ => "statement",
    })
}

/// Refuses a node whose own operator cannot be written, whatever its expressions and inputs are.
pub(super) fn check_operator(plan: &LogicalPlan, accepts: &Accepts) -> Result<(), Refusal> {
    let Some(name) = operator(plan) else {
        return Ok(());
    };
    if !accepts.operators.contains(name) {
        return Err(Refusal::new(name, "is not accepted by the far side"));
    }
    match plan {
        LogicalPlan::Join(join) => check_join(join),
        LogicalPlan::Aggregate(aggregate) => check_grouping(&aggregate.group_expr),
        LogicalPlan::Limit(limit) => {
            let skip = limit.get_skip_type();
            let fetch = limit.get_fetch_type();
            if matches!(skip, Ok(SkipType::Literal(_))) && matches!(fetch, Ok(FetchType::Literal(_))) {
                return Ok(());
            }
            Err(Refusal::new(name, "its bounds are not literals"))
        }
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && !empty.schema.fields().is_empty() => {
            Err(Refusal::new(name, "one row of unnamed values"))
        }
        LogicalPlan::Values(values) if values.values.is_empty() || values.schema.fields().is_empty() => {
            Err(Refusal::new(name, "has no rows or no columns"))
        }
        LogicalPlan::Distinct(_) if plan.schema().fields().is_empty() => Err(Refusal::new(name, "has no columns")),
        _ => Ok(()),
    }
}

/// A null-aware join is `NOT IN`, which has one key and no further condition.
fn check_join(join: &Join) -> Result<(), Refusal> {
    if !join.null_aware {
        return Ok(());
    }
    if join.join_type != JoinType::LeftAnti {
        return Err(Refusal::new("join", "null-aware, and not an anti join"));
    }
    match (join.on.as_slice(), &join.filter) {
        ([_], None) => Ok(()),
        _ => Err(Refusal::new("join", "null-aware with more than one key")),
    }
}

/// The widest grouping set whose `grouping()` value fits its `Int32`.
const GROUPING_SET_COLUMNS_MAX: usize = 31;

/// A cube of this many columns is 4096 sets; the check writes them all down.
const CUBE_COLUMNS_MAX: usize = 12;

pub(super) fn check_grouping(group: &[Expr]) -> Result<(), Refusal> {
    let refuse = |reason: &str| Err(Refusal::new("grouping set", reason));
    let [Expr::GroupingSet(set)] = group else {
        if group.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return refuse("stands beside plain columns");
        }
        return Ok(());
    };
    let columns_max = match set {
        GroupingSet::Cube(_) => CUBE_COLUMNS_MAX,
        _ => GROUPING_SET_COLUMNS_MAX,
    };
    if set.distinct_expr().len() > columns_max {
        return refuse("has too many columns");
    }
    if let GroupingSet::GroupingSets(sets) = set {
        for (position, one) in sets.iter().enumerate() {
            if sets.iter().skip(position + 1).any(|other| other == one) {
                return refuse("is named twice");
            }
        }
    }
    Ok(())
}

//! How many rows a subplan gives, guessed from the statistics that sites publish: orders joins, sizes remote scans.
//!
//! The model is the textbook's: values are spread evenly, columns are independent, and the keys of the smaller side of
//! a join are found in the larger one. A wrong guess costs time, never a wrong answer.

mod selectivity;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{Column, DFSchema, JoinType, ScalarValue, Statistics};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, SkipType, TableScan, Union,
};

use selectivity::position;

/// Rows that a semi-join keeps when nothing is known about its keys.
const SEMI_JOIN_DEFAULT: f64 = 0.5;
/// Groups per row when nothing is known about the grouping columns.
const GROUPS_PER_ROW_DEFAULT: f64 = 0.1;
/// Pairs that a join's condition without equality keeps.
const JOIN_FILTER_DEFAULT: f64 = 0.3;
/// Width of a value whose type does not fix it, as in DataFusion's own guesses for short texts.
const VARIABLE_WIDTH_BYTES: f64 = 24.0;

/// The number of rows `plan` gives, as far as statistics tell; `None` when a table below publishes none.
pub fn estimate_rows(plan: &LogicalPlan) -> Option<f64> {
    Profile::of(plan).map(|profile| profile.rows)
}

/// The guess for `plan` in the form that DataFusion's join selection reads: everything inexact or absent.
pub fn estimate_statistics(plan: &LogicalPlan) -> Statistics {
    let schema = plan.schema();
    let mut statistics = Statistics::new_unknown(schema.as_arrow());
    let Some(profile) = Profile::of(plan) else { return statistics };
    let row_bytes: f64 = schema.fields().iter().map(|field| width_bytes(field.data_type())).sum();
    statistics.num_rows = inexact(profile.rows);
    statistics.total_byte_size = inexact(profile.rows * row_bytes);
    for (column, known) in statistics.column_statistics.iter_mut().zip(&profile.columns) {
        column.distinct_count = known.distinct.map_or(Precision::Absent, inexact);
    }
    statistics
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what a guess wants"
)]
fn inexact(value: f64) -> Precision<usize> {
    Precision::Inexact(value.ceil().max(0.0) as usize)
}

pub(crate) fn width_bytes(data_type: &arrow::datatypes::DataType) -> f64 {
    data_type.primitive_width().map_or(VARIABLE_WIDTH_BYTES, |bytes| bytes as f64)
}

/// What is guessed about the rows of a subplan: how many, and about each column in the order of its schema.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) rows: f64,
    columns: Vec<ColumnProfile>,
}

/// What is guessed about one column.
#[derive(Debug, Clone, Default)]
struct ColumnProfile {
    /// Distinct values among the rows that are left.
    distinct: Option<f64>,
    /// Distinct values in the whole table; joins divide by it, so that a filter on one side thins the result out.
    domain: Option<f64>,
    /// Rows of the whole table.
    table_rows: Option<f64>,
    /// Least and greatest value among the rows that are left, as [`position`] places them.
    range: Option<(f64, f64)>,
    /// The part of the rows that is NULL.
    null_fraction: Option<f64>,
    /// The mean, above zero, of what is summed or counted over groups.
    group_mean: Option<f64>,
}

impl Profile {
    /// The guess for `plan`; `None` when a table below publishes no row count.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<Profile> {
        match plan {
            LogicalPlan::TableScan(scan) => Self::of_scan(scan),
            LogicalPlan::Projection(projection) => {
                Some(Self::of(&projection.input)?.project(&projection.expr, projection.input.schema()))
            }
            LogicalPlan::Filter(filter) => {
                Some(Self::of(&filter.input)?.restricted(&filter.predicate, filter.input.schema()))
            }
            LogicalPlan::Sort(sort) => Some(Self::of(&sort.input)?.at_most(sort.fetch)),
            LogicalPlan::Limit(limit) => Self::of_limit(limit),
            LogicalPlan::Join(join) => Some(Self::of(&join.left)?.joined(&Self::of(&join.right)?, join)),
            LogicalPlan::Aggregate(aggregate) => Self::of_aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns: Vec<_> = input.schema().columns().into_iter().map(Expr::Column).collect();
                Some(Self::of(input)?.grouped(&columns, input.schema()))
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let rows = Self::of(&on.input)?.grouped(&on.on_expr, on.input.schema()).rows;
                Some(Self::unknown(rows, on.schema.fields().len()))
            }
            LogicalPlan::Union(union) => Self::of_union(union),
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Subquery(subquery) => Self::of(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => Self::of(&repartition.input),
            LogicalPlan::EmptyRelation(empty) => {
                Some(Self::unknown(if empty.produce_one_row { 1.0 } else { 0.0 }, empty.schema.fields().len()))
            }
            LogicalPlan::Values(values) => {
                Some(Self::unknown(values.values.len() as f64, values.schema.fields().len()))
            }
            LogicalPlan::Window(window) => Some(Self::of(&window.input)?.widened(window.schema.fields().len())),
            LogicalPlan::Extension(extension) => match extension.node.inputs().as_slice() {
                [input] => Some(Self::unknown(Self::of(input)?.rows, extension.node.schema().fields().len())),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many different values the column at `index` has, at most.
    pub(crate) fn distinct(&self, index: usize) -> f64 {
        self.columns.get(index).and_then(|column| column.distinct).unwrap_or(self.rows)
    }

    /// What is left when this part of the rows stays.
    pub(crate) fn thinned(mut self, part: f64) -> Profile {
        self.rows *= part;
        self.capped()
    }

    /// `rows` rows of which nothing else is known.
    pub(crate) fn unknown(rows: f64, columns: usize) -> Profile {
        Profile { rows, columns: vec![ColumnProfile::default(); columns] }
    }

    fn of_scan(scan: &TableScan) -> Option<Profile> {
        let statistics = source_as_provider(&scan.source).ok()?.statistics()?;
        let rows = *statistics.num_rows.get_value()? as f64;
        let whole = 0..scan.source.schema().fields().len();
        let indices: Vec<usize> = scan.projection.clone().unwrap_or_else(|| whole.collect());
        let column = |index: usize| {
            statistics
                .column_statistics
                .get(index)
                .map_or_else(ColumnProfile::default, |known| ColumnProfile::new(known, rows))
        };
        let mut profile = Profile { rows, columns: indices.into_iter().map(column).collect() };
        for filter in &scan.filters {
            profile = profile.restricted(filter, &scan.projected_schema);
        }
        Some(profile.at_most(scan.fetch))
    }

    fn of_limit(limit: &Limit) -> Option<Profile> {
        let mut profile = Self::of(&limit.input)?;
        if let Ok(SkipType::Literal(skip)) = limit.get_skip_type() {
            profile.rows = (profile.rows - skip as f64).max(0.0);
        }
        match limit.get_fetch_type() {
            Ok(FetchType::Literal(fetch)) => Some(profile.at_most(fetch)),
            _ => Some(profile),
        }
    }

    fn of_aggregate(aggregate: &Aggregate) -> Option<Profile> {
        let input = Self::of(&aggregate.input)?;
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Some(Self::unknown(input.rows, aggregate.schema.fields().len()));
        }
        let mut grouped = input.grouped(&aggregate.group_expr, aggregate.input.schema());
        let rows_per_group = input.rows / grouped.rows.max(1.0);
        grouped.columns.extend(aggregate.aggr_expr.iter().map(|expr| {
            ColumnProfile {
                group_mean: input
                    .mean_of(expr, aggregate.input.schema())
                    .map(|mean| mean * rows_per_group)
                    .filter(|mean| *mean > 0.0),
                ..ColumnProfile::default()
            }
        }));
        Some(grouped.widened(aggregate.schema.fields().len()))
    }

    /// What one row adds to a sum or a count, on average, where that is never less than nothing.
    fn mean_of(&self, aggregate: &Expr, schema: &DFSchema) -> Option<f64> {
        let aggregate = match aggregate {
            Expr::Alias(alias) => return self.mean_of(&alias.expr, schema),
            Expr::AggregateFunction(function) if !function.params.distinct => function,
            _ => return None,
        };
        match (aggregate.func.name(), aggregate.params.args.as_slice()) {
            ("count", _) => Some(1.0),
            ("sum", [summed]) => {
                let (least, greatest) = self.column(summed, schema)?.range?;
                (least >= 0.0 && greatest > 0.0).then_some((least + greatest) / 2.0)
            }
            _ => None,
        }
    }

    fn of_union(union: &Union) -> Option<Profile> {
        Some(Self::together(union.inputs.iter().map(|arm| Self::of(arm)).collect::<Option<_>>()?))
    }

    /// The rows of all of these, which have the same columns.
    pub(crate) fn together(mut arms: Vec<Profile>) -> Profile {
        if arms.len() == 1
            && let Some(only) = arms.pop()
        {
            return only;
        }
        let columns = arms.first().map_or(0, |arm| arm.columns.len());
        let mut together = Self::unknown(arms.iter().map(|arm| arm.rows).sum(), columns);
        for (index, column) in together.columns.iter_mut().enumerate() {
            column.distinct = arms.iter().map(|arm| arm.columns.get(index)?.distinct).sum();
            column.domain = arms.iter().map(|arm| arm.columns.get(index)?.domain).sum();
            column.table_rows = arms.iter().map(|arm| arm.columns.get(index)?.table_rows).sum();
        }
        together
    }

    fn at_most(mut self, fetch: Option<usize>) -> Profile {
        if let Some(fetch) = fetch {
            self.rows = self.rows.min(fetch as f64);
        }
        self.capped()
    }

    /// No column has more distinct values than there are rows.
    fn capped(mut self) -> Profile {
        let rows = self.rows.max(1.0);
        for column in &mut self.columns {
            column.distinct = column.distinct.map(|distinct| distinct.min(rows));
        }
        self
    }

    /// The same rows with columns at the end of which nothing is known.
    fn widened(mut self, columns: usize) -> Profile {
        self.columns.resize_with(columns, ColumnProfile::default);
        self
    }

    fn project(&self, expressions: &[Expr], schema: &DFSchema) -> Profile {
        let columns = expressions.iter().map(|expr| self.column(expr, schema).cloned().unwrap_or_default()).collect();
        Profile { rows: self.rows, columns }
    }

    /// One row per group; the columns are the groups'.
    fn grouped(&self, groups: &[Expr], schema: &DFSchema) -> Profile {
        let mut grouped = self.project(groups, schema);
        let groups_of = |column: &ColumnProfile| column.distinct.unwrap_or(self.rows * GROUPS_PER_ROW_DEFAULT).max(1.0);
        grouped.rows = grouped.columns.iter().map(groups_of).product::<f64>().min(self.rows.max(1.0));
        grouped.capped()
    }

    /// What is known of the column that `expr` is, through renaming and casts.
    fn column(&self, expr: &Expr, schema: &DFSchema) -> Option<&ColumnProfile> {
        self.columns.get(column_index(expr, schema)?)
    }

    /// The rows of `join` with this profile on its left.
    pub(crate) fn joined(&self, right: &Profile, join: &Join) -> Profile {
        let condition = JoinCondition::of(join);
        let matches = self.matches(right, &condition);
        let kept = |side| self.kept_by(right, &condition, side);
        let mut columns = self.columns.clone();
        columns.extend(right.columns.iter().cloned());
        let (rows, columns) = match join.join_type {
            JoinType::Inner => (matches, columns),
            JoinType::Left => (matches.max(self.rows), columns),
            JoinType::Right => (matches.max(right.rows), columns),
            JoinType::Full => (matches.max(self.rows).max(right.rows), columns),
            JoinType::LeftSemi => (self.rows * kept(Side::Left), self.columns.clone()),
            JoinType::LeftAnti => (self.rows * (1.0 - kept(Side::Left)), self.columns.clone()),
            JoinType::RightSemi => (right.rows * kept(Side::Right), right.columns.clone()),
            JoinType::RightAnti => (right.rows * (1.0 - kept(Side::Right)), right.columns.clone()),
            JoinType::LeftMark => (self.rows, self.columns.clone()),
            JoinType::RightMark => (right.rows, right.columns.clone()),
        };
        Profile { rows, columns }.widened(join.schema.fields().len()).capped()
    }

    /// Pairs of rows that satisfy a join's condition.
    pub(crate) fn matches(&self, right: &Profile, condition: &JoinCondition<'_>) -> f64 {
        let pairs = self.rows * right.rows * if condition.filtered { JOIN_FILTER_DEFAULT } else { 1.0 };
        let keys: Vec<_> = condition.keys(self, right).collect();
        let known: Option<Vec<_>> = keys.iter().map(|(left, right)| Some(((*left)?, (*right)?))).collect();
        let combinations = match known.as_deref() {
            Some([]) => Some(1.0),
            Some([(left, right)]) => single_key_domain(left, right),
            Some(keys) => composite_key_domain(keys),
            None => None,
        };
        pairs / combinations.unwrap_or(self.rows.max(right.rows)).max(1.0)
    }

    /// The part of one side's rows that finds a partner on the other.
    fn kept_by(&self, right: &Profile, condition: &JoinCondition<'_>, side: Side) -> f64 {
        let fraction = |(left, right): (Option<&ColumnProfile>, Option<&ColumnProfile>)| {
            let (left, right) = (left?.distinct?.max(1.0), right?.distinct?.max(1.0));
            Some(if side == Side::Left { right / left } else { left / right }.min(1.0))
        };
        condition.keys(self, right).filter_map(fraction).reduce(f64::min).unwrap_or(SEMI_JOIN_DEFAULT)
    }
}

/// The condition of a join that may or may not exist yet.
pub(crate) struct JoinCondition<'a> {
    pub(crate) on: &'a [(Expr, Expr)],
    /// Whether there is more to it than the equalities.
    pub(crate) filtered: bool,
    pub(crate) left: &'a DFSchema,
    pub(crate) right: &'a DFSchema,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

impl<'a> JoinCondition<'a> {
    fn of(join: &'a Join) -> Self {
        Self { on: &join.on, filtered: join.filter.is_some(), left: join.left.schema(), right: join.right.schema() }
    }

    fn keys<'b>(
        &'b self,
        left: &'b Profile,
        right: &'b Profile,
    ) -> impl Iterator<Item = (Option<&'b ColumnProfile>, Option<&'b ColumnProfile>)> {
        self.on.iter().map(|(own, other)| (left.column(own, self.left), right.column(other, self.right)))
    }
}

/// How many values two equal columns can take: the larger domain, or the size of the smaller table when neither is
/// known, which is right for a foreign key.
fn single_key_domain(left: &ColumnProfile, right: &ColumnProfile) -> Option<f64> {
    let smaller_table = || Some(left.table_rows?.min(right.table_rows?));
    left.domain.into_iter().chain(right.domain).reduce(f64::max).or_else(smaller_table)
}

/// How many combinations several equal columns can take: as many as the table with fewer of them, for the other one
/// refers to it (`lineitem` to `partsupp`); columns are not independent there.
fn composite_key_domain(keys: &[(&ColumnProfile, &ColumnProfile)]) -> Option<f64> {
    let left = combinations(keys.iter().map(|(left, _)| *left));
    let right = combinations(keys.iter().map(|(_, right)| *right));
    left.into_iter().chain(right).reduce(f64::min)
}

fn combinations<'a>(keys: impl Iterator<Item = &'a ColumnProfile> + Clone) -> Option<f64> {
    let table_rows = keys.clone().filter_map(|key| key.table_rows).reduce(f64::max)?;
    let domains: Option<f64> = keys.map(|key| key.domain).product();
    Some(domains.unwrap_or(table_rows).min(table_rows))
}

impl ColumnProfile {
    fn new(known: &datafusion::common::ColumnStatistics, rows: f64) -> Self {
        let bound = |value: &Precision<ScalarValue>| value.get_value().and_then(position);
        let range = bound(&known.min_value).zip(bound(&known.max_value));
        let counted = known.distinct_count.get_value().map(|count| *count as f64);
        let whole_numbers = known.min_value.get_value().is_some_and(|value| is_discrete(&value.data_type()));
        let spanned =
            range.filter(|_| whole_numbers).map(|(least, greatest)| (greatest - least + 1.0).clamp(1.0, rows.max(1.0)));
        let domain = counted.or(spanned);
        let null_fraction = known.null_count.get_value().map(|nulls| *nulls as f64 / rows.max(1.0));
        Self { distinct: domain, domain, table_rows: Some(rows), range, null_fraction, group_mean: None }
    }
}

/// Values of the type are one apart in the units of [`position`].
fn is_discrete(data_type: &arrow::datatypes::DataType) -> bool {
    data_type.is_integer() || matches!(data_type, arrow::datatypes::DataType::Date32)
}

/// The index in `schema` of the column that `expr` is, through renaming and casts.
fn column_index(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => index_of(column, schema),
        Expr::Alias(alias) => column_index(&alias.expr, schema),
        Expr::Cast(cast) => column_index(&cast.expr, schema),
        Expr::TryCast(cast) => column_index(&cast.expr, schema),
        _ => None,
    }
}

fn index_of(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// The guess for one relation in a join order: `rows_unknown` rows when nothing is published about it.
pub(crate) fn profile_or(plan: &Arc<LogicalPlan>, rows_unknown: f64) -> Profile {
    Profile::of(plan).unwrap_or_else(|| Profile::unknown(rows_unknown, plan.schema().fields().len()))
}

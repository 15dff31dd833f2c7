//! Columns that nothing but the answer needs come after LIMIT: for the few rows that are left, by the key of their table.
//!
//! ```text
//! before   Sort(revenue, fetch 20) over Aggregate(c_custkey, c_name, c_comment; sum) over joins of several sites
//! after    Sort(revenue, fetch 20) over Projection over
//!          Join(c_custkey) of KeySource(Sort(revenue, fetch 20) over Aggregate(c_custkey; sum) over the same joins)
//!                         and the scan customer(c_custkey, c_name, c_comment)
//! never    without a key of one column whose table is pinned to its version; below an outer join that could leave the
//!          table's row out; for columns that something is made of or ordered by; where a site enforces policy
//! ```
//!
//! A row of the table is found again by its key, so what is grouped by the key is grouped by all its columns. Runs after the
//! joins are grouped; the columns that nothing needs any more are then dropped by DataFusion. That the keys go along when the
//! scan is asked is [`super::key_sets`]' work.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, TableReference};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, LogicalPlan, LogicalPlanBuilder, Projection, Sort, SortExpr, TableScan,
    TableScanBuilder,
};

use crate::catalog::site_table::SiteTable;
use crate::exec::key_source::KeySource;
use crate::plan::columns::plain_column;
use crate::plan::estimate::{estimate_rows, width_bytes};
use crate::plan::fragment_node::{FragmentNode, KeySourceNode};
use crate::plan::sites::{Location, Sites};

/// How many rows may be left.
const ROWS_MAX: usize = 1_000;
/// Bytes, before they are compressed, that have to stay at their site for one more question to it to be worth while.
const SAVED_BYTES_MIN: f64 = 256.0 * 1024.0;
/// What the columns are called that come late, where the names of both sides of the join are seen.
const RELATION: &str = "late columns";

/// Has the columns of `plan` that can wait come late.
///
/// # Errors
/// Those of rebuilding operators from their parts, which would be a defect.
pub fn late_columns(plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    plan.transform_down(|node| match &node {
        LogicalPlan::Sort(sort) => match late(sort)? {
            Some(late) => Ok(Transformed::new(late, true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    })
}

fn late(sort: &Sort) -> DataFusionResult<Option<LogicalPlan>> {
    let Some(fetch) = sort.fetch.filter(|fetch| *fetch <= ROWS_MAX) else { return Ok(None) };
    // The keys are sorted by twice, above and below.
    let is_repeatable = |key: &SortExpr| !key.expr.is_volatile() && !key.expr.contains_scalar_subquery();
    if !sort.expr.iter().all(is_repeatable)
        || !is_free(&sort.input)?
        || Sites::default().locate(&sort.input)? != Location::Mixed
    {
        return Ok(None);
    }
    let rows = Rows::of(sort);
    let Some(choice) = rows.choice(fetch) else { return Ok(None) };
    let keyed = rows.keyed(&choice);
    let rewritten = keyed.and_then(|keyed| keyed.map(|keyed| rows.rewritten(sort, &choice, keyed)).transpose());
    // Names that would mean two columns are no reason to refuse what can be answered without.
    Ok(rewritten.unwrap_or_else(|error| {
        tracing::debug!("no column comes late: {}", error.strip_backtrace());
        None
    }))
}

/// Whether no site that is asked enforces policy, and none is asked for its record: then keys may go anywhere.
fn is_free(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut is_free = true;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                let table = SiteTable::of(scan);
                is_free &= table.is_some_and(|table| !table.treatment().governed && table.origin().catalog.is_none());
            }
            // What was sent whole is governed.
            other => is_free &= FragmentNode::of(other).is_none(),
        }
        Ok(if is_free { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_free)
}

/// What is sorted: expressions over an operator's rows.
struct Rows<'a> {
    exprs: Vec<Expr>,
    schema: &'a DFSchema,
    input: &'a LogicalPlan,
    ordered_by: Vec<Column>,
}

/// A table whose columns come late.
struct Choice {
    origin: Origin,
    /// By position in [`Rows::exprs`], the place in the table.
    wide: BTreeMap<usize, usize>,
}

/// A column of a table's row that is still there, whatever was joined to it; scans are told apart by their way down the plan,
/// which begins with its end.
#[derive(Debug, Clone)]
struct Origin {
    scan: Vec<u8>,
    table: Arc<SiteTable>,
    column: usize,
}

/// What is sorted without what comes late: the operator below the expressions, and the key among its columns.
struct Keyed {
    input: LogicalPlan,
    key: Column,
}

impl<'a> Rows<'a> {
    fn of(sort: &'a Sort) -> Self {
        let (exprs, input) = match sort.input.as_ref() {
            LogicalPlan::Projection(projection) => (projection.expr.clone(), projection.input.as_ref()),
            other => (other.schema().columns().into_iter().map(Expr::Column).collect(), other),
        };
        let ordered_by = sort.expr.iter().flat_map(|key| key.expr.column_refs().into_iter().cloned()).collect();
        Self { exprs, schema: sort.input.schema(), input, ordered_by }
    }

    /// The table with the most bytes that can wait, if they are worth a question.
    fn choice(&self, fetch: usize) -> Option<Choice> {
        let rows = estimate_rows(self.input)?;
        // A row of the table comes once, however often it is joined.
        let worth = |choice: &Choice| (rows.min(choice.origin.table.rows()) - fetch as f64) * choice.row_bytes();
        let best = self.choices().into_iter().max_by(|one, other| worth(one).total_cmp(&worth(other)))?;
        (worth(&best) >= SAVED_BYTES_MIN).then_some(best)
    }

    /// Of each scan the columns that can wait, and its key.
    fn choices(&self) -> Vec<Choice> {
        let needed = self.needed();
        let mut choices: Vec<Choice> = Vec::new();
        for (position, expr) in self.exprs.iter().enumerate() {
            let Some(column) = plain_column(expr).filter(|column| !needed.contains(column)) else { continue };
            let Some(origin) = self.origin(column) else { continue };
            let Some(key) = origin.table.single_key().filter(|key| *key != origin.column) else { continue };
            match choices.iter_mut().find(|choice| choice.origin.scan == origin.scan) {
                Some(choice) => _ = choice.wide.insert(position, origin.column),
                None => choices.push(Choice {
                    wide: BTreeMap::from([(position, origin.column)]),
                    origin: Origin { column: key, ..origin },
                }),
            }
        }
        choices
    }

    /// The columns that something is ordered by or made of.
    fn needed(&self) -> HashSet<&Column> {
        let needed = self.exprs.iter().enumerate().filter(|(position, expr)| {
            let is_ordered_by = |column: &Column| self.schema.maybe_index_of_column(column) == Some(*position);
            plain_column(expr).is_none() || self.ordered_by.iter().any(is_ordered_by)
        });
        needed.flat_map(|(_, expr)| expr.column_refs()).collect()
    }

    /// The input with the key among its columns, and without the groups that come late; `None` where a row cannot be told by it,
    /// or a name without a relation could mean one of the late columns too.
    fn keyed(&self, choice: &Choice) -> DataFusionResult<Option<Keyed>> {
        let keyed = match self.input {
            LogicalPlan::Aggregate(aggregate) => self.grouped_by_key(aggregate, choice)?,
            other => with_key(other, choice.origin.scan.as_slice(), choice.origin.column)?,
        };
        Ok(keyed.filter(|keyed| self.is_clear(choice, &keyed.key)))
    }

    fn is_clear(&self, choice: &Choice, key: &Column) -> bool {
        let schema = choice.origin.table.schema();
        let places = choice.wide.values().chain([&choice.origin.column]);
        let mut late: Vec<&str> = places.map(|place| schema.field(*place).name().as_str()).collect();
        if key.relation.is_some() {
            late.push(&key.name);
        }
        let outputs = (0..self.exprs.len()).filter(|position| !choice.wide.contains_key(position));
        let outputs = outputs.map(|position| Column::from(self.schema.qualified_field(position)));
        let said = outputs.chain(self.ordered_by.iter().cloned()).chain([key.clone()]);
        let mut bare = said.filter(|column| column.relation.is_none());
        bare.all(|column| !late.contains(&column.name.as_str()))
    }

    /// Where a column of the input comes from; through one aggregate, which can do without it.
    fn origin(&self, column: &Column) -> Option<Origin> {
        match self.input {
            LogicalPlan::Aggregate(aggregate) => {
                let index = self.input.schema().maybe_index_of_column(column)?;
                if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
                    return None;
                }
                origin(&aggregate.input, plain_column(aggregate.group_expr.get(index)?)?)
            }
            other => origin(other, column),
        }
    }

    fn rewritten(&self, sort: &Sort, choice: &Choice, keyed: Keyed) -> DataFusionResult<LogicalPlan> {
        let (key, late) = choice.scan()?;
        let on = (vec![keyed.key.clone()], vec![key]);
        let early = self.early(sort, choice, keyed)?;
        let joined = LogicalPlanBuilder::from(early).join(late, JoinType::Inner, on, None)?.build()?;
        let schema = choice.origin.table.schema();
        let answer = (0..self.exprs.len()).map(|position| {
            let (qualifier, field) = self.schema.qualified_field(position);
            match choice.wide.get(&position) {
                None => Expr::Column(Column::from((qualifier, field))),
                Some(place) => {
                    let late = Column::new(Some(RELATION), schema.field(*place).name());
                    Expr::Column(late).alias_qualified(qualifier.cloned(), field.name())
                }
            }
        });
        let answer = Projection::try_new(answer.collect(), Arc::new(joined))?;
        Ok(LogicalPlan::Sort(Sort { input: Arc::new(LogicalPlan::Projection(answer)), ..sort.clone() }))
    }

    /// The rows that are left, without what comes late, and with the key.
    fn early(&self, sort: &Sort, choice: &Choice, keyed: Keyed) -> DataFusionResult<LogicalPlan> {
        let kept = self.exprs.iter().enumerate().filter(|(position, _)| !choice.wide.contains_key(position));
        let mut exprs: Vec<Expr> = kept.map(|(_, expr)| expr.clone()).collect();
        let key = Expr::Column(keyed.key);
        if !exprs.contains(&key) {
            exprs.push(key);
        }
        let projection = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(keyed.input))?);
        let sorted = LogicalPlan::Sort(Sort { input: Arc::new(projection), ..sort.clone() });
        let source = KeySourceNode::new(Arc::<KeySource>::default(), sorted);
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(source) }))
    }

    /// The same groups by their key alone, where the key is one of what they are grouped by.
    fn grouped_by_key(&self, aggregate: &Aggregate, choice: &Choice) -> DataFusionResult<Option<Keyed>> {
        let columns = aggregate.schema.columns();
        let is_key = |column: &&Column| {
            self.origin(column)
                .is_some_and(|origin| origin.scan == choice.origin.scan && origin.column == choice.origin.column)
        };
        let Some(key) = columns.iter().find(is_key).cloned() else { return Ok(None) };
        let wide = choice.wide.keys();
        let late: Vec<&Column> = wide.filter_map(|position| plain_column(self.exprs.get(*position)?)).collect();
        let groups = aggregate.group_expr.iter().zip(&columns).filter(|(_, column)| !late.contains(column));
        let groups = groups.map(|(expr, _)| expr.clone()).collect();
        let aggregate = Aggregate::try_new(Arc::clone(&aggregate.input), groups, aggregate.aggr_expr.clone())?;
        Ok(Some(Keyed { input: LogicalPlan::Aggregate(aggregate), key }))
    }
}

impl Choice {
    /// Bytes of a row that can wait.
    fn row_bytes(&self) -> f64 {
        let schema = self.origin.table.schema();
        let width = |place: usize| schema.fields().get(place).map_or(0.0, |field| width_bytes(field.data_type()));
        self.places().into_iter().filter(|place| *place != self.origin.column).map(width).sum()
    }

    /// The columns that are asked for late, the key among them.
    fn places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.wide.values().copied().chain([self.origin.column]).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The scan of what comes late, and the key's column of it.
    fn scan(&self) -> DataFusionResult<(Column, LogicalPlan)> {
        let table = &self.origin.table;
        let key = Column::new(Some(RELATION), table.schema().field(self.origin.column).name());
        let source = provider_as_source(Arc::<SiteTable>::clone(table));
        Ok((key, LogicalPlanBuilder::scan(RELATION, source, Some(self.places()))?.build()?))
    }
}

/// `plan` with the key of the scan at the end of this way among its columns.
fn with_key(plan: &LogicalPlan, way: &[u8], key: usize) -> DataFusionResult<Option<Keyed>> {
    if let LogicalPlan::TableScan(scan) = plan {
        return scan_with_key(scan, key).map(Some);
    }
    let Some((step, way)) = way.split_last() else { return Ok(None) };
    let mut inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let Some(input) = inputs.get_mut(usize::from(*step)) else { return Ok(None) };
    let Some(below) = with_key(input, way, key)? else { return Ok(None) };
    *input = below.input;
    let key = below.key;
    let (exprs, key) = match plan {
        LogicalPlan::Projection(projection) => {
            let mut exprs = projection.expr.clone();
            let known = exprs.iter().position(|expr| plain_column(expr) == Some(&key));
            let is_like_key = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
                field.name() == &key.name && (qualifier.is_none() || key.relation.is_none())
            };
            if known.is_none() && projection.schema.iter().any(is_like_key) {
                return Ok(None);
            }
            match known {
                Some(index) => (exprs, Column::from(projection.schema.qualified_field(index))),
                None => {
                    exprs.push(Expr::Column(key.clone()));
                    (exprs, key)
                }
            }
        }
        // What it shows has the names alone, and another column may have the key's.
        LogicalPlan::SubqueryAlias(_) if inputs.iter().any(|input| !is_only(input, &key.name)) => return Ok(None),
        LogicalPlan::SubqueryAlias(alias) => (Vec::new(), Column::new(Some(alias.alias.clone()), key.name)),
        other => (other.expressions(), key),
    };
    Ok(Some(Keyed { input: plan.with_new_exprs(exprs, inputs)?, key }))
}

fn is_only(plan: &LogicalPlan, name: &str) -> bool {
    plan.schema().fields().iter().filter(|field| field.name() == name).count() == 1
}

fn scan_with_key(scan: &TableScan, key: usize) -> DataFusionResult<Keyed> {
    let column = Column::new(Some(scan.table_name.clone()), scan.source.schema().field(key).name());
    let mut scan = scan.clone();
    if let Some(kept) = scan.projection.as_mut().filter(|kept| !kept.contains(&key)) {
        kept.push(key);
    }
    let builder = TableScanBuilder::new(scan.table_name, scan.source).with_projection(scan.projection);
    let input = builder.with_filters(scan.filters).with_fetch(scan.fetch).build()?;
    Ok(Keyed { input: LogicalPlan::TableScan(input), key: column })
}

/// The table's column that `column` of `plan` is, in a row that is still there.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<Origin> {
    let below = |input: &LogicalPlan, column: &Column, step: u8| {
        let mut origin = origin(input, column)?;
        origin.scan.push(step);
        Some(origin)
    };
    let index = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan, index),
        LogicalPlan::Projection(node) => below(&node.input, plain_column(node.expr.get(index)?)?, 0),
        LogicalPlan::SubqueryAlias(node) => {
            below(&node.input, &Column::from(node.input.schema().qualified_field(index)), 0)
        }
        LogicalPlan::Filter(node) => below(&node.input, column, 0),
        LogicalPlan::Join(join) => {
            let is_left = join.left.schema().has_column(column);
            match join.join_type {
                JoinType::Inner if is_left => below(&join.left, column, 0),
                JoinType::Inner => below(&join.right, column, 1),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti if is_left => below(&join.left, column, 0),
                JoinType::Right | JoinType::RightSemi | JoinType::RightAnti if !is_left => {
                    below(&join.right, column, 1)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn of_scan(scan: &TableScan, index: usize) -> Option<Origin> {
    let column = scan.projection.as_ref().map_or(Some(index), |kept| kept.get(index).copied())?;
    Some(Origin { scan: Vec::new(), table: SiteTable::of(scan)?, column })
}

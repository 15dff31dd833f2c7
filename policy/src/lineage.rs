//! Where the columns of an answer come from: for the record of what left, and for EXPLAIN POLICY.
//!
//! A column of a table is *selected* where its values, or anything computed from them, stand in the answer, and *used*
//! where they only decide which rows do: in a filter, a join's condition, an order. What cannot be told apart counts as
//! selected.

use std::collections::{BTreeMap, BTreeSet};

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, Result};
use datafusion_expr::{Distinct, Expr, JoinType, LogicalPlan, TableScan};

use crate::barrier::PolicyBarrier;

/// The columns of each table that an answer holds or depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    tables: BTreeMap<String, ColumnUse>,
}

/// The columns of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnUse {
    /// Columns whose values, or anything made of them, stand in the answer.
    pub selected: BTreeSet<String>,
    /// Columns that are used otherwise, whether selected too or not.
    pub used: BTreeSet<String>,
}

impl Lineage {
    /// The columns of the table of that name.
    pub fn of(&self, table: impl ToString) -> ColumnUse {
        self.tables.get(&table.to_string()).cloned().unwrap_or_default()
    }
}

/// The lineage of a plan over barriers; tables are named `source.table`.
///
/// # Errors
/// When the plan cannot be walked.
pub fn lineage(plan: &LogicalPlan) -> Result<Lineage> {
    lineage_of(plan, &|_| None)
}

/// The lineage of a plan whose tables are also the scans that `table` names.
///
/// # Errors
/// When the plan cannot be walked.
pub fn lineage_of(plan: &LogicalPlan, table: &dyn Fn(&TableScan) -> Option<String>) -> Result<Lineage> {
    let mut tracing = Tracing { table, used: Sources::new() };
    let outputs = tracing.outputs(plan, &[])?;
    let mut lineage = Lineage::default();
    for (table, column) in outputs.into_iter().flatten() {
        lineage.tables.entry(table).or_default().selected.insert(column);
    }
    for (table, column) in tracing.used {
        lineage.tables.entry(table).or_default().used.insert(column);
    }
    Ok(lineage)
}

/// Columns of tables, each with its table.
type Sources = BTreeSet<(String, String)>;

/// What the columns of a plan come from, and by what names they are found.
struct Scope<'a> {
    schema: &'a DFSchema,
    outputs: &'a [Sources],
}

struct Tracing<'a> {
    table: &'a dyn Fn(&TableScan) -> Option<String>,
    used: Sources,
}

impl Tracing<'_> {
    /// What each column of `plan` comes from; `outer` are the plans around a subquery, the nearest last.
    fn outputs(&mut self, plan: &LogicalPlan, outer: &[Scope<'_>]) -> Result<Vec<Sources>> {
        match plan {
            LogicalPlan::Projection(node) => {
                let input = self.outputs(&node.input, outer)?;
                self.computed(&node.expr, (node.input.schema(), &input), outer)
            }
            LogicalPlan::Filter(node) => {
                let input = self.outputs(&node.input, outer)?;
                self.note(std::slice::from_ref(&node.predicate), (node.input.schema(), &input), outer)?;
                Ok(input)
            }
            LogicalPlan::Sort(node) => {
                let input = self.outputs(&node.input, outer)?;
                let keys: Vec<Expr> = node.expr.iter().map(|key| key.expr.clone()).collect();
                self.note(&keys, (node.input.schema(), &input), outer)?;
                Ok(input)
            }
            LogicalPlan::Aggregate(node) => {
                let input = self.outputs(&node.input, outer)?;
                let scope = (node.input.schema().as_ref(), input.as_slice());
                let groups = self.computed(&node.group_expr, scope, outer)?;
                // Groups decide which rows there are, whether their keys are told or not.
                self.used.extend(groups.iter().flatten().cloned());
                let aggregates = self.computed(&node.aggr_expr, scope, outer)?;
                let fields = plan.schema().fields().len();
                if groups.len() + aggregates.len() == fields {
                    return Ok([groups, aggregates].concat());
                }
                // Grouping sets have more columns than expressions.
                Ok(vec![merged(groups.into_iter().chain(aggregates)); fields])
            }
            LogicalPlan::Window(node) => {
                let mut input = self.outputs(&node.input, outer)?;
                let windows = self.computed(&node.window_expr, (node.input.schema(), &input), outer)?;
                input.extend(windows);
                Ok(input)
            }
            LogicalPlan::Join(node) => {
                let left = self.outputs(&node.left, outer)?;
                let right = self.outputs(&node.right, outer)?;
                let schema = node.left.schema().join(node.right.schema())?;
                let both = [left.clone(), right.clone()].concat();
                let keys = node.on.iter().flat_map(|(left, right)| [left.clone(), right.clone()]);
                let conditions: Vec<Expr> = keys.chain(node.filter.clone()).collect();
                self.note(&conditions, (&schema, &both), outer)?;
                Ok(match node.join_type {
                    JoinType::LeftSemi | JoinType::LeftAnti => left,
                    JoinType::RightSemi | JoinType::RightAnti => right,
                    JoinType::LeftMark => [left, vec![Sources::new()]].concat(),
                    JoinType::RightMark => [right, vec![Sources::new()]].concat(),
                    JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both,
                })
            }
            LogicalPlan::Union(node) => {
                let mut columns = vec![Sources::new(); node.schema.fields().len()];
                for input in &node.inputs {
                    for (column, sources) in columns.iter_mut().zip(self.outputs(input, outer)?) {
                        column.extend(sources);
                    }
                }
                Ok(columns)
            }
            LogicalPlan::TableScan(scan) => Ok(match (self.table)(scan) {
                Some(table) => named(&table, &scan.projected_schema),
                None => vec![Sources::new(); scan.projected_schema.fields().len()],
            }),
            LogicalPlan::Extension(_) => match PolicyBarrier::of(plan) {
                Some(barrier) => Ok(named(&barrier.governed().table.to_string(), plan.schema())),
                None => self.blurred(plan, outer),
            },
            LogicalPlan::SubqueryAlias(node) => self.outputs(&node.input, outer),
            LogicalPlan::Limit(node) => self.outputs(&node.input, outer),
            LogicalPlan::Repartition(node) => self.outputs(&node.input, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => self.outputs(input, outer),
            LogicalPlan::Subquery(node) => self.outputs(&node.subquery, outer),
            LogicalPlan::Distinct(Distinct::On(_))
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => self.blurred(plan, outer),
        }
    }

    /// Every column of all inputs in every column of the answer.
    fn blurred(&mut self, plan: &LogicalPlan, outer: &[Scope<'_>]) -> Result<Vec<Sources>> {
        let mut all = Sources::new();
        for input in plan.inputs() {
            all.extend(self.outputs(input, outer)?.into_iter().flatten());
        }
        Ok(vec![all; plan.schema().fields().len()])
    }

    /// What each expression is made of.
    fn computed(
        &mut self,
        exprs: &[Expr],
        (schema, outputs): (&DFSchema, &[Sources]),
        outer: &[Scope<'_>],
    ) -> Result<Vec<Sources>> {
        let scope = Scope { schema, outputs };
        exprs.iter().map(|expr| self.sources(expr, &scope, outer)).collect()
    }

    /// What expressions depend on that decide which rows there are.
    fn note(&mut self, exprs: &[Expr], scope: (&DFSchema, &[Sources]), outer: &[Scope<'_>]) -> Result<()> {
        let sources = self.computed(exprs, scope, outer)?;
        self.used.extend(sources.into_iter().flatten());
        Ok(())
    }

    fn sources(&mut self, expr: &Expr, scope: &Scope<'_>, outer: &[Scope<'_>]) -> Result<Sources> {
        let mut found = Sources::new();
        expr.apply(|part| {
            match part {
                Expr::Column(column) => found.extend(scope.of(column)),
                Expr::OuterReferenceColumn(_, column) => {
                    found.extend(
                        outer
                            .iter()
                            .rev()
                            .find(|scope| scope.has(column))
                            .map(|scope| scope.of(column))
                            .unwrap_or_default(),
                    );
                }
                Expr::ScalarSubquery(subquery) => {
                    found.extend(self.within(&subquery.subquery, scope, outer)?.into_iter().flatten());
                }
                Expr::InSubquery(test) => {
                    let inside = self.within(&test.subquery.subquery, scope, outer)?;
                    self.used.extend(inside.into_iter().flatten());
                }
                Expr::Exists(test) => {
                    self.within(&test.subquery.subquery, scope, outer)?;
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    }

    fn within(&mut self, subquery: &LogicalPlan, scope: &Scope<'_>, outer: &[Scope<'_>]) -> Result<Vec<Sources>> {
        let mut around: Vec<Scope<'_>> =
            outer.iter().map(|scope| Scope { schema: scope.schema, outputs: scope.outputs }).collect();
        around.push(Scope { schema: scope.schema, outputs: scope.outputs });
        self.outputs(subquery, &around)
    }
}

impl Scope<'_> {
    fn has(&self, column: &Column) -> bool {
        self.schema.maybe_index_of_column(column).is_some()
    }

    /// A column that is not found may be any.
    fn of(&self, column: &Column) -> Sources {
        let found = self.schema.maybe_index_of_column(column).and_then(|index| self.outputs.get(index));
        found.cloned().unwrap_or_else(|| merged(self.outputs.iter().cloned()))
    }
}

fn merged(sources: impl Iterator<Item = Sources>) -> Sources {
    sources.flatten().collect()
}

fn named(table: &str, schema: &DFSchema) -> Vec<Sources> {
    let column = |name: &String| Sources::from([(table.to_string(), name.clone())]);
    schema.fields().iter().map(|field| column(field.name())).collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion_expr::{LogicalPlanBuilder, Subquery, col, lit, table_scan};

    use super::*;

    fn scan(table: &str) -> LogicalPlanBuilder {
        let columns = ["id", "name", "region"].map(|name| Field::new(name, DataType::Utf8, true));
        table_scan(Some(table), &Schema::new(columns.to_vec()), None).unwrap()
    }

    /// Selected and used columns of a table, each list as a text.
    fn traced(plan: LogicalPlanBuilder, table: &str) -> [String; 2] {
        let plan = plan.build().unwrap();
        let lineage = lineage_of(&plan, &|scan| Some(scan.table_name.to_string())).unwrap();
        let columns = lineage.of(table);
        [columns.selected, columns.used].map(|columns| columns.into_iter().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_stands_in_the_answer_is_selected_and_what_decides_rows_is_used() {
        let plan = scan("t").filter(col("region").eq(lit("north"))).unwrap();
        let plan = plan.sort([col("name").sort(true, true)]).unwrap().project([col("id").alias("x")]).unwrap();
        assert_eq!(traced(plan, "t"), ["id", "name region"]);
    }

    #[test]
    fn a_projection_that_is_not_told_selects_nothing() {
        let inner = scan("t").project([col("id"), col("name")]).unwrap().alias("s").unwrap();
        assert_eq!(traced(inner.project([col("s.id")]).unwrap(), "t"), ["id", ""]);
    }

    #[test]
    fn groups_are_used_also_where_their_keys_are_not_told() {
        let grouped = scan("t").aggregate([col("region")], Vec::<Expr>::new()).unwrap();
        assert_eq!(traced(grouped.project([lit(1)]).unwrap(), "t"), ["", "region"]);
    }

    #[test]
    fn the_keys_of_a_join_are_used_on_both_sides() {
        let right = scan("u").build().unwrap();
        let joined = scan("t").join(right, JoinType::Left, (vec!["t.id"], vec!["u.id"]), None).unwrap();
        let plan = joined.project([col("t.name"), col("u.region")]).unwrap();
        assert_eq!(traced(plan.clone(), "t"), ["name", "id"]);
        assert_eq!(traced(plan, "u"), ["region", "id"]);
    }

    #[test]
    fn the_arms_of_a_union_meet_by_position() {
        let right = scan("u").project([col("name")]).unwrap().build().unwrap();
        let plan = scan("t").project([col("id")]).unwrap().union(right).unwrap();
        assert_eq!(traced(plan.clone(), "t"), ["id", ""]);
        assert_eq!(traced(plan, "u"), ["name", ""]);
    }

    #[test]
    fn a_subquery_is_selected_where_its_value_is() {
        let inner = scan("u").project([col("name")]).unwrap().build().unwrap();
        let value = Expr::ScalarSubquery(Subquery {
            subquery: inner.into(),
            outer_ref_columns: vec![],
            spans: datafusion_common::Spans::default(),
        });
        let told = scan("t").project([col("id"), value.clone()]).unwrap();
        assert_eq!(traced(told, "u"), ["name", ""]);
        let filtered = scan("t").filter(col("id").eq(value)).unwrap().project([col("region")]).unwrap();
        assert_eq!(traced(filtered.clone(), "u"), ["", "name"]);
        assert_eq!(traced(filtered, "t"), ["region", "id"]);
    }
}

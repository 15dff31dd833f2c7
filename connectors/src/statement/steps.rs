//! A plan as steps: each node becomes a SELECT, and joins the SELECT of its input where that cannot change the result.

mod group;
mod join;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{
    Distinct, EmptyRelation, Expr, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, Sort, TableScan,
    Values, lit,
};

use super::allow::{Accepts, check_operator};
use super::block::{Block, Source};
use super::dialect::Dialect;
use super::names::Names;
use super::print::{Printer, Token, token};
use super::refusal::Refusal;
use super::scope::{Scope, transform};
use super::types::{Origin, Types};

/// Collects the steps of one statement, in the order in which they are written.
pub(super) struct Writer<'a> {
    dialect: &'a dyn Dialect,
    accepts: &'a Accepts,
    names: Names,
    /// Each step's name and SELECT.
    steps: Vec<(String, String)>,
    /// Subqueries that expressions stand for by number.
    subqueries: Vec<String>,
    types: Types,
}

impl<'a> Writer<'a> {
    pub(super) fn new(dialect: &'a dyn Dialect, accepts: &'a Accepts, plan: &LogicalPlan) -> Self {
        let names = Names::apart_from(plan);
        Self { dialect, accepts, names, steps: Vec::new(), subqueries: Vec::new(), types: Types::default() }
    }

    /// The statement of `plan`, and the number of its steps.
    pub(super) fn statement(mut self, plan: &LogicalPlan) -> Result<(String, usize), Refusal> {
        let last = self.block(plan)?;
        let (_, select) = self.print(&last)?;
        let mut text = String::new();
        for (position, (name, step)) in self.steps.iter().enumerate() {
            text.push_str(if position == 0 { "WITH " } else { ",\n" });
            text.push_str(&format!("{} AS ({step})", self.dialect.identifier(name)));
        }
        if !self.steps.is_empty() {
            text.push('\n');
        }
        text.push_str(&select);
        Ok((text, self.steps.len() + 1))
    }

    /// The SELECT that says `plan`; what could not join it is a step already.
    fn block(&mut self, plan: &LogicalPlan) -> Result<Block, Refusal> {
        check_operator(plan, self.accepts)?;
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => Ok(empty_relation(empty)),
            LogicalPlan::SubqueryAlias(alias) => self.block(&alias.input),
            LogicalPlan::Subquery(subquery) => self.block(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => self.block(&repartition.input),
            other => Err(Refusal::new(other.display().to_string(), "is an operator that a statement does not hold")),
        }
    }

    /// The SELECT of `plan`, still open for more conditions.
    fn rows(&mut self, plan: &LogicalPlan) -> Result<Block, Refusal> {
        let block = self.block(plan)?;
        if block.is_rows() { Ok(block) } else { self.step(&block) }
    }

    /// Writes `block` down as a step, and goes on from its name.
    fn step(&mut self, block: &Block) -> Result<Block, Refusal> {
        if self.steps.len() + 1 >= self.accepts.steps_max {
            return Err(Refusal::new("statement", "has more steps than the far side accepts"));
        }
        let (columns, select) = self.print(block)?;
        let name = self.names.next_step();
        self.steps.push((name.clone(), select));
        let columns: Vec<Column> = columns.into_iter().take(block.outputs.len()).map(Column::from_name).collect();
        for (position, (column, output)) in columns.iter().zip(&block.branch().outputs).enumerate() {
            let stored = block.stored(position, &self.types);
            self.types.tell_output(column.clone(), output, stored);
        }
        Ok(Block::over(Source::Step(name), columns.into_iter().map(Expr::Column).collect()))
    }

    fn print(&self, block: &Block) -> Result<(Vec<String>, String), Refusal> {
        let columns = self.names.columns(block.outputs.len().max(1));
        let select = block.select(&self.printer(), &columns)?;
        Ok((columns, select))
    }

    fn printer(&self) -> Printer<'_> {
        Printer { dialect: self.dialect, accepts: self.accepts, subqueries: &self.subqueries, types: &self.types }
    }

    /// `expr` with its columns as the statement calls them and its subqueries as steps.
    fn say(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        transform(expr, &mut |part| match part {
            Expr::Column(column) => scope.resolve(&column),
            Expr::Alias(alias) => Ok(*alias.expr),
            Expr::ScalarSubquery(subquery) => self.scalar_subquery(&subquery),
            other => Ok(other),
        })
    }

    fn say_all(&mut self, exprs: &[Expr], scope: &Scope<'_>) -> Result<Vec<Expr>, Refusal> {
        exprs.iter().map(|expr| self.say(expr, scope)).collect()
    }

    fn conjuncts(&mut self, predicate: &Expr, scope: &Scope<'_>) -> Result<Vec<Expr>, Refusal> {
        split_conjunction(predicate).into_iter().map(|part| self.say(part, scope)).collect()
    }

    fn subquery(&mut self, kind: Token, text: String, field: FieldRef) -> Expr {
        self.subqueries.push(text);
        token(kind, self.subqueries.len() - 1, Some(field))
    }

    /// A condition that is already in SQL.
    fn condition_token(&mut self, kind: Token, text: String) -> Expr {
        self.subquery(kind, text, Arc::new(Field::new("", DataType::Boolean, true)))
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Block, Refusal> {
        let alias = self.names.next_table();
        let relation = TableReference::bare(alias.clone());
        let source = scan.source.schema();
        let every: Vec<Expr> = source
            .fields()
            .iter()
            .map(|field| Expr::Column(Column::new(Some(relation.clone()), field.name())))
            .collect();
        for field in source.fields() {
            let column = Column::new(Some(relation.clone()), field.name());
            let stored = self.dialect.stored(&scan.table_name, field.name());
            self.types.tell(column, Arc::clone(field), Origin::Table(stored));
        }
        let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &source)
            .map_err(|error| Refusal::new("scan", error.strip_backtrace()))?;
        let scope = Scope::over(&schema, &every);
        let filter = scan.filters.iter().map(|filter| self.conjuncts(filter, &scope)).collect::<Result<Vec<_>, _>>()?;
        let outputs = match &scan.projection {
            None => every,
            Some(kept) => kept.iter().filter_map(|index| every.get(*index).cloned()).collect(),
        };
        let columns = source.fields().iter().map(|field| field.name().clone()).collect();
        let source = Source::Table { name: scan.table_name.clone(), alias, columns };
        Ok(Block { filter: filter.concat(), fetch: scan.fetch, ..Block::over(source, outputs) })
    }

    /// A projection joins any SELECT but one that groups, is distinct, has a window or is a union; over an ORDER BY
    /// it must, for the order of a step is nobody's promise.
    fn projection(&mut self, projection: &Projection) -> Result<Block, Refusal> {
        let mut block = self.block(&projection.input)?;
        let schema = projection.input.schema();
        let uses: Vec<&Expr> = projection.expr.iter().collect();
        if block.closed || block.repeats(&uses, schema, 1)? {
            block = self.step(&block)?;
        }
        let scope = Scope::over(schema, &block.outputs);
        let outputs = self.say_all(&projection.expr, &scope)?;
        Ok(Block { outputs, ..block })
    }

    fn filter(&mut self, filter: &Filter) -> Result<Block, Refusal> {
        let mut block = self.rows(&filter.input)?;
        let schema = filter.input.schema();
        if block.repeats(&[&filter.predicate], schema, 0)? {
            block = self.step(&block)?;
        }
        let scope = Scope::over(schema, &block.outputs);
        let conjuncts = self.conjuncts(&filter.predicate, &scope)?;
        block.filter.extend(conjuncts);
        Ok(block)
    }

    fn sort(&mut self, sort: &Sort) -> Result<Block, Refusal> {
        let mut block = self.rows(&sort.input)?;
        let schema = sort.input.schema();
        // A key that is a column of the result is named, not computed again.
        let computed: Vec<&Expr> =
            sort.expr.iter().map(|key| &key.expr).filter(|key| !matches!(key, Expr::Column(_))).collect();
        if block.repeats(&computed, schema, 0)? {
            block = self.step(&block)?;
        }
        let scope = Scope::over(schema, &block.outputs);
        let mut order = Vec::with_capacity(sort.expr.len());
        for key in &sort.expr {
            order.push(key.with_expr(self.say(&key.expr, &scope)?));
        }
        Ok(Block { order, fetch: sort.fetch, ..block })
    }

    /// Limits compose: what the inner one leaves, the outer one cuts again.
    fn limit(&mut self, limit: &Limit) -> Result<Block, Refusal> {
        let mut block = self.block(&limit.input)?;
        if block.closed {
            block = self.step(&block)?;
        }
        let (skip, fetch) = bounds(limit)?;
        let left = block.fetch.map(|inner| inner.saturating_sub(skip));
        block.fetch = match (left, fetch) {
            (Some(left), Some(fetch)) => Some(left.min(fetch)),
            (left, fetch) => left.or(fetch),
        };
        block.skip = block.skip.saturating_add(skip);
        Ok(block)
    }

    fn values(&mut self, values: &Values) -> Result<Block, Refusal> {
        let alias = self.names.next_table();
        let columns: Vec<String> =
            (0..values.schema.fields().len()).map(|position| format!("{alias}_{position}")).collect();
        for (name, field) in columns.iter().zip(values.schema.fields()) {
            self.types.tell(Column::from_name(name), Arc::clone(field), Origin::Values);
        }
        let nothing = DFSchema::empty();
        let scope = Scope::over(&nothing, &[]);
        let rows = values.values.iter().map(|row| self.say_all(row, &scope)).collect::<Result<Vec<_>, _>>()?;
        let outputs = columns.iter().map(|name| Expr::Column(Column::from_name(name))).collect();
        Ok(Block::over(Source::Values { rows, alias, columns }, outputs))
    }
}

/// One row of nothing is a SELECT without FROM; no row at all is one that no condition lets through.
fn empty_relation(empty: &EmptyRelation) -> Block {
    if empty.produce_one_row {
        return Block::default();
    }
    let null = |data_type| ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null);
    Block {
        outputs: empty.schema.fields().iter().map(|field| lit(null(field.data_type()))).collect(),
        filter: vec![lit(false)],
        ..Block::default()
    }
}

/// A limit's rows to skip and to fetch, as literals.
pub(super) fn bounds(limit: &Limit) -> Result<(usize, Option<usize>), Refusal> {
    match (limit.get_skip_type(), limit.get_fetch_type()) {
        (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) => Ok((skip, fetch)),
        _ => Err(Refusal::new("limit", "its bounds are not literals")),
    }
}

//! One SELECT under construction: what a plan node becomes before it is known whether it must be a step of its own.

use datafusion_common::tree_node::TreeNode;
use datafusion_common::{Column, DFSchema, JoinType, TableReference};
use datafusion_expr::expr::Sort;
use datafusion_expr::{Expr, lit};

use super::dialect::Place;
use super::print::{Printer, is_mark};
use super::refusal::Refusal;
use super::scope::{Scope, transform};
use super::types::{Stored, Types};

/// A SELECT whose expressions already name their columns as the statement calls them.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// FROM, left to right; empty for one row of nothing.
    pub(super) from: Vec<Item>,
    /// WHERE, as conjuncts.
    pub(super) filter: Vec<Expr>,
    /// GROUP BY, as the plan has it.
    pub(super) group: Vec<Expr>,
    pub(super) distinct: bool,
    /// What stands for each column of the plan node that this block says.
    pub(super) outputs: Vec<Expr>,
    pub(super) order: Vec<Sort>,
    pub(super) skip: usize,
    pub(super) fetch: Option<usize>,
    /// The branches of a UNION ALL, which then is all that this block is.
    pub(super) union: Vec<Block>,
    /// It is one of these branches: its columns become those of all.
    pub(super) is_branch: bool,
    /// Nothing but a SELECT over this one may follow: it groups, is distinct, has a window or is a union.
    pub(super) closed: bool,
}

/// One FROM item, and how it is joined to those before it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) source: Source,
    pub(super) join: Option<(JoinType, Vec<Expr>)>,
}

/// Where rows come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A table, under an alias that is unique in the statement, with the columns that were described.
    Table { name: TableReference, alias: String, columns: Vec<String> },
    /// An earlier step, whose columns are unique in the statement.
    Step(String),
    /// Rows of literals.
    Values { rows: Vec<Vec<Expr>>, alias: String, columns: Vec<String> },
}

impl Block {
    /// A block that is one FROM item.
    pub(super) fn over(source: Source, outputs: Vec<Expr>) -> Self {
        Self { from: vec![Item { source, join: None }], outputs, ..Self::default() }
    }

    /// The SELECT whose columns are this block's: its first branch, if it is a union.
    pub(super) fn branch(&self) -> &Block {
        self.union.first().unwrap_or(self)
    }

    /// How output `position` is stored for whoever selects from this block.
    pub(super) fn stored(&self, position: usize, types: &Types) -> Stored {
        let of = |block: &Block| match block.outputs.get(position) {
            Some(output) if block.passes_on(output) || types.is_opaque(output) => types.passed(output),
            Some(output) if types.is_long(output) => Stored::Long(None),
            _ => Stored::Plain,
        };
        let worst = [Stored::Opaque, Stored::Long(None)]
            .into_iter()
            .find(|worst| self.union.iter().any(|branch| of(branch) == *worst));
        worst.unwrap_or_else(|| of(self.branch()))
    }

    /// Whether nothing in this SELECT depends on the values of `output`, a column.
    fn passes_on(&self, output: &Expr) -> bool {
        let is_ordering = self.order.iter().any(|sort| &sort.expr == output);
        is_column(output) && !self.distinct && !self.is_branch && !is_ordering && !self.is_key(output)
    }

    /// Rows may still be filtered, joined, grouped or ordered in this very SELECT.
    pub(super) fn is_rows(&self) -> bool {
        !self.closed && !self.is_sliced()
    }

    /// Rows are ordered or cut off: only a projection or a further limit may join this SELECT.
    pub(super) fn is_sliced(&self) -> bool {
        !self.order.is_empty() || self.skip > 0 || self.fetch.is_some()
    }

    /// FROM items alone, their columns passed on as they are.
    pub(super) fn is_plain_from(&self) -> bool {
        self.is_rows() && self.filter.is_empty() && !self.from.is_empty() && self.outputs.iter().all(is_column)
    }

    /// Every output is passed on or costs nothing to say again.
    pub(super) fn is_simple(&self) -> bool {
        self.outputs.iter().all(is_simple)
    }

    /// How often `uses`, expressions over this block's node, say each of its outputs.
    fn usage(&self, uses: &[&Expr], schema: &DFSchema) -> Result<Vec<usize>, Refusal> {
        let columns: Vec<Expr> =
            (0..self.outputs.len()).map(|index| Expr::Column(Column::from_name(index.to_string()))).collect();
        let scope = Scope::over(schema, &columns);
        let mut counts = vec![0; self.outputs.len()];
        for expr in uses {
            transform(expr, &mut |part| {
                if let Expr::Column(column) = &part {
                    let output = scope.resolve(column)?;
                    let position = columns.iter().position(|known| known == &output);
                    if let Some(count) = position.and_then(|position| counts.get_mut(position)) {
                        *count += 1;
                    }
                }
                Ok(part)
            })?;
        }
        Ok(counts)
    }

    /// Whether saying `uses` in this SELECT would compute an output more often than `times`.
    pub(super) fn repeats(&self, uses: &[&Expr], schema: &DFSchema, times: usize) -> Result<bool, Refusal> {
        let usage = self.usage(uses, schema)?;
        Ok(self.outputs.iter().zip(usage).any(|(output, count)| !is_simple(output) && count > times))
    }

    /// An existence test would have to be a column of a result, which the engine of the far side does not run.
    fn check_outputs(&self) -> Result<(), Refusal> {
        let holds_mark = |output: &Expr| output.exists(|part| Ok(is_mark(part))).unwrap_or(true);
        if self.outputs.iter().any(holds_mark) {
            return Err(Refusal::new("mark join", "its mark outlives the filter above it"));
        }
        Ok(())
    }

    /// This block as a SELECT whose columns are called `columns`.
    ///
    /// # Errors
    /// An expression that the printer refuses.
    pub(super) fn select(&self, printer: &Printer<'_>, columns: &[String]) -> Result<String, Refusal> {
        if !self.union.is_empty() {
            let branches =
                self.union.iter().map(|branch| branch.select(printer, columns)).collect::<Result<Vec<_>, _>>()?;
            return Ok(branches.join(" UNION ALL "));
        }
        self.check_outputs()?;
        if self.distinct {
            self.outputs.iter().try_for_each(|output| printer.dialect.admit_key(output, printer.types))?;
        }
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let mut text = format!("SELECT {distinct}{}", self.items(printer, columns)?);
        if !self.from.is_empty() {
            text.push_str(" FROM ");
            text.push_str(&self.sources(printer)?);
        }
        let conditions = self.conditions(printer)?;
        if !conditions.is_empty() {
            text.push_str(" WHERE ");
            text.push_str(&conditions.join(" AND "));
        }
        if !self.group.is_empty() {
            text.push_str(" GROUP BY ");
            text.push_str(&printer.grouping(&self.group)?);
        }
        text.push_str(&self.tail(printer, columns)?);
        Ok(text)
    }

    /// Whether `output` is a key that the SELECT groups by.
    fn is_key(&self, output: &Expr) -> bool {
        !self.group.is_empty() && !matches!(output, Expr::AggregateFunction(_) | Expr::Placeholder(_))
    }

    /// A relation without columns still has rows; one marker column stands for them.
    fn items(&self, printer: &Printer<'_>, columns: &[String]) -> Result<String, Refusal> {
        let marker = [lit(1_i64)];
        let outputs = if self.outputs.is_empty() { &marker[..] } else { &self.outputs };
        let mut items = Vec::with_capacity(outputs.len());
        for (output, name) in outputs.iter().zip(columns) {
            // A grouping key is said in the list as it is said in GROUP BY, or it would not be known as the key.
            let item = match output {
                key if self.is_key(key) => printer.key(key)?,
                Expr::Column(column) if self.passes_on(output) => printer.column(column, Place::Passed),
                other => printer.expression(other)?,
            };
            let item = printer.dialect.output(item, output, printer.types)?;
            items.push(format!("{item} AS {}", printer.dialect.identifier(name)));
        }
        Ok(items.join(", "))
    }

    /// WHERE: the existence tests that are no FROM items in this dialect, and the filter.
    fn conditions(&self, printer: &Printer<'_>) -> Result<Vec<String>, Refusal> {
        let mut conditions = Vec::new();
        for item in &self.from {
            if let Some((kind, on)) = item.tests_existence(printer) {
                conditions.push(item.existence(kind, on, printer)?);
            }
        }
        if !self.filter.is_empty() {
            conditions.push(printer.conjunction(&self.filter)?);
        }
        Ok(conditions)
    }

    /// FROM. A test that became a condition holds for the rows of the whole FROM clause, so no join that adds rows may
    /// follow it.
    fn sources(&self, printer: &Printer<'_>) -> Result<String, Refusal> {
        let mut text = String::new();
        let mut tested = false;
        for item in &self.from {
            if item.tests_existence(printer).is_some() {
                tested = true;
                continue;
            }
            if tested && matches!(item.join, Some((JoinType::Right | JoinType::Full, _))) {
                return Err(Refusal::new("join", "keeps rows beside those of an existence test"));
            }
            let source = item.source.print(printer)?;
            match &item.join {
                None => text.push_str(&source),
                Some((JoinType::Inner, on)) if on.is_empty() => {
                    text.push_str(&format!(" {} {source}", printer.dialect.cross_join()));
                }
                Some((kind, on)) => {
                    printer.dialect.admit_join(*kind, on, printer.types)?;
                    let on = if on.is_empty() { "TRUE".to_owned() } else { printer.conjunction(on)? };
                    text.push_str(&format!(" {} {source} ON {on}", printer.dialect.join(*kind)?));
                }
            }
        }
        Ok(text)
    }

    /// ORDER BY names a result column where the key is one, so that nothing is computed twice.
    fn tail(&self, printer: &Printer<'_>, columns: &[String]) -> Result<String, Refusal> {
        let mut text = String::new();
        let mut keys = Vec::with_capacity(self.order.len());
        for sort in &self.order {
            let named = self.outputs.iter().position(|output| output == &sort.expr);
            let key = match named.and_then(|index| columns.get(index)) {
                Some(name) => {
                    printer.dialect.admit_key(&sort.expr, printer.types)?;
                    printer.dialect.identifier(name)
                }
                None => printer.ordering_key(&sort.expr)?,
            };
            keys.push(printer.dialect.ordering(&key, sort));
        }
        if !keys.is_empty() {
            text.push_str(&format!(" ORDER BY {}", keys.join(", ")));
        }
        text.push_str(&printer.dialect.limit(self.skip, self.fetch));
        Ok(text)
    }
}

impl Item {
    /// The join that is said as a condition in the printer's dialect, if this is one.
    fn tests_existence(&self, printer: &Printer<'_>) -> Option<(JoinType, &[Expr])> {
        let (kind, on) = self.join.as_ref()?;
        printer.dialect.says_existence(*kind).then_some((*kind, on))
    }

    /// Whether this item has a row for a row of the items before it.
    fn existence(&self, kind: JoinType, on: &[Expr], printer: &Printer<'_>) -> Result<String, Refusal> {
        printer.dialect.admit_join(kind, on, printer.types)?;
        let not = if kind == JoinType::LeftAnti { "NOT " } else { "" };
        let source = self.source.print(printer)?;
        let condition = if on.is_empty() { String::new() } else { format!(" WHERE {}", printer.conjunction(on)?) };
        Ok(format!("({not}EXISTS (SELECT 1 FROM {source}{condition}))"))
    }
}

impl Source {
    fn print(&self, printer: &Printer<'_>) -> Result<String, Refusal> {
        let quoted = |name: &str| printer.dialect.identifier(name);
        Ok(match self {
            Self::Table { name, alias, columns } => {
                let table = printer.table(name);
                match printer.dialect.part(name) {
                    None => format!("{table} AS {}", quoted(alias)),
                    // In a SELECT of its own, where the condition can mean no other table's columns. `*` would be refused
                    // to an account that may not read them all.
                    Some(part) => {
                        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
                        let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
                        format!("(SELECT {columns} FROM {table} WHERE {part}) AS {}", quoted(alias))
                    }
                }
            }
            Self::Step(name) => quoted(name),
            Self::Values { rows, alias, columns } => {
                let rows = rows
                    .iter()
                    .map(|row| {
                        let cells = row.iter().map(|cell| printer.expression(cell)).collect::<Result<Vec<_>, _>>()?;
                        Ok(format!("({})", cells.join(", ")))
                    })
                    .collect::<Result<Vec<_>, Refusal>>()?;
                let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
                printer.dialect.values(&rows, &quoted(alias), &columns)
            }
        })
    }
}

/// Costs next to nothing to say twice.
fn is_simple(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => is_column(&cast.expr),
        expr => is_column(expr) || is_mark(expr) || matches!(expr, Expr::Literal(..)),
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_))
}

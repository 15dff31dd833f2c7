//! What closes a SELECT: grouping, windows, DISTINCT and UNION ALL. Whatever follows selects from it.

use std::sync::Arc;

use datafusion_common::Column;
use datafusion_expr::expr::GroupingSet;
use datafusion_expr::{Aggregate, Expr, LogicalPlan, Union, Window};

use super::Writer;
use crate::statement::block::Block;
use crate::statement::print::Token;
use crate::statement::refusal::Refusal;
use crate::statement::scope::Scope;

impl Writer<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Block, Refusal> {
        let schema = aggregate.input.schema();
        let mut block = self.rows(&aggregate.input)?;
        let uses: Vec<&Expr> = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).collect();
        if block.repeats(&uses, schema, 1)? {
            block = self.step(&block)?;
        }
        let scope = Scope::over(schema, &block.outputs);
        let group = self.say_all(&aggregate.group_expr, &scope)?;
        let mut outputs = match group.as_slice() {
            [Expr::GroupingSet(set)] => self.grouping_outputs(set, aggregate)?,
            keys => keys.to_vec(),
        };
        outputs.extend(self.say_all(&aggregate.aggr_expr, &scope)?);
        Ok(Block { group: each_once(group), outputs, closed: true, ..block })
    }

    /// The keys of a grouping set, and the number that tells the sets apart.
    fn grouping_outputs(&mut self, set: &GroupingSet, aggregate: &Aggregate) -> Result<Vec<Expr>, Refusal> {
        let mut outputs: Vec<Expr> = set.distinct_expr().into_iter().cloned().collect();
        let id = aggregate.schema.fields().iter().find(|field| field.name() == Aggregate::INTERNAL_GROUPING_ID);
        let id = id.ok_or_else(|| Refusal::new("grouping set", "has no number"))?;
        let printer = self.printer();
        let keys = outputs.iter().map(|key| printer.key(key)).collect::<Result<Vec<_>, _>>()?;
        let call = format!("{}({})", self.dialect.function("grouping"), keys.join(", "));
        let text = self.dialect.cast(&call, id.data_type())?;
        outputs.push(self.subquery(Token::Value, text, Arc::clone(id)));
        Ok(outputs)
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<Block, Refusal> {
        let mut block = self.block(&window.input)?;
        if !(block.is_rows() && block.outputs.iter().all(|output| matches!(output, Expr::Column(_)))) {
            block = self.step(&block)?;
        }
        let scope = Scope::over(window.input.schema(), &block.outputs);
        let functions = self.say_all(&window.window_expr, &scope)?;
        block.outputs.extend(functions);
        block.closed = true;
        Ok(block)
    }

    pub(super) fn union(&mut self, union: &Union) -> Result<Block, Refusal> {
        let mut branches = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let block = self.block(input)?;
            match block {
                Block { ref union, .. } if !union.is_empty() => branches.extend(block.union),
                block if block.is_sliced() => branches.push(self.step(&block)?),
                block => branches.push(block),
            }
        }
        branches.iter_mut().for_each(|branch| branch.is_branch = true);
        // The columns of a union are its own: the names of the step that it becomes.
        let outputs = union.schema.fields().iter().map(|field| Expr::Column(Column::from_name(field.name())));
        Ok(Block { outputs: outputs.collect(), union: branches, closed: true, ..Block::default() })
    }

    pub(super) fn distinct(&mut self, input: &LogicalPlan) -> Result<Block, Refusal> {
        let block = self.rows(input)?;
        Ok(Block { distinct: true, closed: true, ..block })
    }
}

/// A key that stands twice groups no further, and DataFusion's planner mixes up the columns that follow it.
fn each_once(keys: Vec<Expr>) -> Vec<Expr> {
    let mut once: Vec<Expr> = Vec::with_capacity(keys.len());
    for key in keys {
        if !once.contains(&key) {
            once.push(key);
        }
    }
    once
}

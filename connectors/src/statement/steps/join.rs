//! Joins and subqueries as steps: FROM items where they can be, else conditions that name a step.

use std::sync::Arc;

use datafusion_common::{JoinType, NullEquality};
use datafusion_expr::{Expr, Join, LogicalPlan, Operator, Subquery, binary_expr};

use super::Writer;
use crate::statement::block::{Block, Item, Source};
use crate::statement::print::Token;
use crate::statement::refusal::Refusal;
use crate::statement::scope::Scope;

impl Writer<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Block, Refusal> {
        match join.join_type {
            JoinType::LeftAnti if join.null_aware => self.not_in(join),
            JoinType::LeftMark => self.mark(join, &join.left, &join.right),
            JoinType::RightMark => self.mark(join, &join.right, &join.left),
            kind => self.join_sides(join, kind),
        }
    }

    /// A join whose left side is FROM items alone goes on from them; its right side is one item.
    fn join_sides(&mut self, join: &Join, kind: JoinType) -> Result<Block, Refusal> {
        let mut left = self.block(&join.left)?;
        if !left.is_plain_from() {
            left = self.step(&left)?;
        }
        let mut right = self.item(&join.right)?;
        let scope = Scope::over(join.left.schema(), &left.outputs).and(join.right.schema(), &right.outputs);
        let on = self.condition(join, &scope)?;
        let outputs = match kind {
            JoinType::LeftSemi | JoinType::LeftAnti => left.outputs,
            JoinType::RightSemi | JoinType::RightAnti => right.outputs,
            _ => [left.outputs, right.outputs].concat(),
        };
        let mut from = left.from;
        from.extend(right.from.pop().map(|item| Item { join: Some((kind, on)), ..item }));
        Ok(Block { from, outputs, ..Block::default() })
    }

    /// The SELECT of `plan` as one FROM item.
    fn item(&mut self, plan: &LogicalPlan) -> Result<Block, Refusal> {
        let block = self.block(plan)?;
        if block.is_plain_from() && block.from.len() == 1 { Ok(block) } else { self.step(&block) }
    }

    fn condition(&mut self, join: &Join, scope: &Scope<'_>) -> Result<Vec<Expr>, Refusal> {
        let operator = match join.null_equality {
            NullEquality::NullEqualsNothing => Operator::Eq,
            NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
        };
        let mut on = Vec::with_capacity(join.on.len());
        for (left, right) in &join.on {
            on.push(binary_expr(self.say(left, scope)?, operator, self.say(right, scope)?));
        }
        if let Some(filter) = &join.filter {
            on.extend(self.conjuncts(filter, scope)?);
        }
        Ok(on)
    }

    /// A null-aware anti join is `NOT IN`, a condition on its left side.
    fn not_in(&mut self, join: &Join) -> Result<Block, Refusal> {
        let [(key, member)] = join.on.as_slice() else {
            return Err(Refusal::new("join", "null-aware with more than one key"));
        };
        let mut left = self.rows(&join.left)?;
        if left.repeats(&[key], join.left.schema(), 0)? {
            left = self.step(&left)?;
        }
        let key = self.say(key, &Scope::over(join.left.schema(), &left.outputs))?;
        let right = self.rows(&join.right)?;
        let member = self.say(member, &Scope::over(join.right.schema(), &right.outputs))?;
        for side in [&key, &member] {
            self.dialect.admit_key(side, &self.types)?;
        }
        let right = self.step(&Block { outputs: vec![member], ..right })?;
        let text = format!("({} NOT IN (SELECT {}))", self.printer().expression(&key)?, self.one_column(&right)?);
        let condition = self.condition_token(Token::Value, text);
        left.filter.push(condition);
        Ok(left)
    }

    /// A mark join is its outer side with one more column, an existence test for the filter above.
    fn mark(&mut self, join: &Join, outer: &LogicalPlan, inner: &LogicalPlan) -> Result<Block, Refusal> {
        let mut block = self.rows(outer)?;
        if !block.is_simple() {
            block = self.step(&block)?;
        }
        let right = self.block(inner)?;
        let right = self.step(&right)?;
        let scope = Scope::over(outer.schema(), &block.outputs).and(inner.schema(), &right.outputs);
        let on = self.condition(join, &scope)?;
        let existence = Block { filter: on, outputs: Vec::new(), ..right };
        let select = existence.select(&self.printer(), &[self.names.marker()])?;
        let mark = self.condition_token(Token::Mark, format!("(EXISTS ({select}))"));
        block.outputs.push(mark);
        Ok(block)
    }

    pub(super) fn scalar_subquery(&mut self, subquery: &Subquery) -> Result<Expr, Refusal> {
        if !subquery.outer_ref_columns.is_empty() {
            return Err(Refusal::new("subquery", "is correlated"));
        }
        let block = self.block(&subquery.subquery)?;
        let step = self.step(&block)?;
        let column = self.one_column(&step)?;
        let field = Arc::clone(subquery.subquery.schema().field(0));
        Ok(self.subquery(Token::Value, format!("(SELECT {column})"), field))
    }

    /// `"c" FROM "n"` of a block that is one step.
    fn one_column(&self, step: &Block) -> Result<String, Refusal> {
        match (step.outputs.as_slice(), step.from.as_slice()) {
            ([output], [Item { source: Source::Step(name), .. }]) => {
                Ok(format!("{} FROM {}", self.printer().expression(output)?, self.dialect.identifier(name)))
            }
            _ => Err(Refusal::new("subquery", "has not exactly one column")),
        }
    }
}

//! Which aggregate functions can be put together from parts, and how.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf};
use datafusion::functions_aggregate::bool_and_or::{bool_and_udaf, bool_or_udaf};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, cast, lit, when};

use crate::plan::average::{average_of, sum_type};

/// An aggregate in two steps. The arms group by `groups` and compute `partials`; over their union `finals` are computed,
/// and from these the `outputs`, one for each function of the aggregate.
#[derive(Default)]
pub(super) struct Partials {
    /// The aggregate's own groups, then the arguments of its distinct functions.
    pub(super) groups: Vec<Expr>,
    pub(super) partials: Vec<Expr>,
    pub(super) finals: Vec<Expr>,
    pub(super) outputs: Vec<Expr>,
}

/// The name of the arms' column for the group at `index`.
pub(super) fn group_name(index: usize) -> String {
    format!("group_{index}")
}

/// The name of the arms' column for the partial result at `index`.
pub(super) fn partial_name(index: usize) -> String {
    format!("partial_{index}")
}

impl Partials {
    /// The two steps of `aggregate`; `None` when one of its functions has none.
    pub(super) fn of(aggregate: &Aggregate) -> Result<Option<Partials>> {
        let mut parts = Partials { groups: aggregate.group_expr.clone(), ..Partials::default() };
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
            let Some(output) = parts.put_together(function, aggregate)? else { return Ok(None) };
            parts.outputs.push(output);
        }
        Ok(Some(parts))
    }

    fn put_together(&mut self, function: AggregateFunction, aggregate: &Aggregate) -> Result<Option<Expr>> {
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = &function.params;
        if !order_by.is_empty() || null_treatment.is_some() {
            return Ok(None);
        }
        if repeats_freely(&function.func) {
            return Ok(Some(self.again(function)));
        }
        if *distinct {
            // A filter would have to be computed after the duplicates are gone, when its columns are gone too.
            let divisible = filter.is_none() && takes_any_values(&function.func);
            return Ok(divisible.then(|| self.distinct(function)));
        }
        if is(&function.func, &bit_xor_udaf()) {
            return Ok(Some(self.again(function)));
        }
        if is(&function.func, &count_udaf()) {
            return self.count(function).map(Some);
        }
        let [argument] = args.as_slice() else { return Ok(None) };
        let data_type = argument.get_type(aggregate.input.schema())?;
        if is(&function.func, &sum_udaf()) {
            return self.sum(function, &data_type).map(Some);
        }
        if is(&function.func, &avg_udaf()) {
            return self.average(function, &data_type);
        }
        Ok(None)
    }

    /// The same function over its own partial results.
    fn again(&mut self, function: AggregateFunction) -> Expr {
        let func = Arc::clone(&function.func);
        let partial = self.partial(Expr::AggregateFunction(function));
        self.last(call(func, partial))
    }

    /// The sum of the partial results of a function.
    fn summed(&mut self, function: AggregateFunction) -> Expr {
        let partial = self.partial(Expr::AggregateFunction(function));
        self.last(call(sum_udaf(), partial))
    }

    /// A sum over no rows is NULL, a count is zero.
    fn count(&mut self, function: AggregateFunction) -> Result<Expr> {
        let summed = self.summed(function);
        when(summed.clone().is_not_null(), summed).otherwise(lit(0_i64))
    }

    /// A sum of decimals is wider than its argument: a sum of sums would be wider still, so it is cast back.
    fn sum(&mut self, function: AggregateFunction, argument: &DataType) -> Result<Expr> {
        let whole = sum_udaf().return_type(std::slice::from_ref(argument))?;
        let of_sums = sum_udaf().return_type(std::slice::from_ref(&whole))?;
        let summed = self.summed(function);
        Ok(if of_sums == whole { summed } else { cast(summed, whole) })
    }

    fn average(&mut self, function: AggregateFunction, argument: &DataType) -> Result<Option<Expr>> {
        let mut counted = function.clone();
        counted.func = count_udaf();
        let mut totalled = function;
        totalled.func = sum_udaf();
        if *argument == DataType::Float64 {
            let (sum, count) = (self.summed(totalled), self.summed(counted));
            return Ok(Some(sum / cast(count, DataType::Float64)));
        }
        let Some(wide) = sum_type(argument) else { return Ok(None) };
        let plain = sum_udaf().return_type(std::slice::from_ref(argument))?;
        if std::mem::discriminant(&plain) != std::mem::discriminant(&wide) {
            totalled.params.args = totalled.params.args.into_iter().map(|value| cast(value, wide.clone())).collect();
        }
        let (sum, count) = (self.summed(totalled), self.summed(counted));
        Ok(Some(average_of(sum, count, argument)))
    }

    /// The arms leave one row for each value, so that the function over their union meets every value.
    fn distinct(&mut self, mut function: AggregateFunction) -> Expr {
        function.params.args = function.params.args.into_iter().map(|value| self.group(value)).collect();
        self.last(Expr::AggregateFunction(function))
    }

    fn group(&mut self, value: Expr) -> Expr {
        named(group_name(position_or_push(&mut self.groups, value)))
    }

    fn partial(&mut self, function: Expr) -> Expr {
        named(partial_name(position_or_push(&mut self.partials, function)))
    }

    fn last(&mut self, function: Expr) -> Expr {
        let name = function.schema_name().to_string();
        position_or_push(&mut self.finals, function);
        named(name)
    }
}

fn position_or_push(list: &mut Vec<Expr>, expr: Expr) -> usize {
    list.iter().position(|known| *known == expr).unwrap_or_else(|| {
        list.push(expr);
        list.len() - 1
    })
}

fn named(name: String) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn call(function: Arc<AggregateUDF>, argument: Expr) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(function, vec![argument], false, None, vec![], None))
}

/// Functions to which a value that comes twice says nothing new, and whose result is one of their own arguments.
fn repeats_freely(function: &AggregateUDF) -> bool {
    [min_udaf(), max_udaf(), bool_and_udaf(), bool_or_udaf(), bit_and_udaf(), bit_or_udaf()]
        .iter()
        .any(|known| is(function, known))
}

/// Functions whose arguments may all come from columns; others want some of them as literals.
fn takes_any_values(function: &AggregateUDF) -> bool {
    [count_udaf(), sum_udaf(), avg_udaf()].iter().any(|known| is(function, known))
}

/// Whether `function` is DataFusion's own, not another of the same name.
fn is(function: &AggregateUDF, known: &AggregateUDF) -> bool {
    function == known
}

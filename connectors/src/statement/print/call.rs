//! Calls of functions: scalar, aggregate and over a window.

use datafusion_common::ScalarValue;
use datafusion_expr::expr::{
    AggregateFunction, AggregateFunctionParams, NullTreatment, ScalarFunction, Sort, WindowFunction,
    WindowFunctionParams,
};
use datafusion_expr::{Expr, Volatility, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};

use super::Printer;
use crate::statement::allow::check_size;
use crate::statement::dialect::AggregateCall;
use crate::statement::literal;
use crate::statement::refusal::Refusal;

/// Functions whose type depends on the value of an argument: the planner must find a literal there, not a cast of one.
const TYPED_BY_A_NUMBER: &[&str] = &["round"];

impl Printer<'_> {
    pub(super) fn scalar_function(&self, function: &ScalarFunction) -> Result<String, Refusal> {
        let name = function.name();
        if !self.accepts.scalar_functions.contains(name) {
            return Err(Refusal::new(name, "is a function that the far side does not accept"));
        }
        if function.func.signature().volatility != Volatility::Immutable {
            return Err(Refusal::new(name, "depends on more than its arguments"));
        }
        check_size(function)?;
        let by_a_number = TYPED_BY_A_NUMBER.contains(&name);
        let print = |arg| if by_a_number { self.bare_number(arg) } else { self.expression(arg) };
        let args = function.args.iter().map(print).collect::<Result<Vec<_>, _>>()?;
        self.dialect.scalar_call(function, args)
    }

    /// A number as the parser reads one, for the planner to see before any cast is done.
    fn bare_number(&self, expr: &Expr) -> Result<String, Refusal> {
        match expr {
            Expr::Literal(ScalarValue::Int32(Some(number)), _) => Ok(number.to_string()),
            other => self.expression(other),
        }
    }

    pub(super) fn aggregate_function(&self, function: &AggregateFunction) -> Result<String, Refusal> {
        let name = function.func.name();
        self.check_aggregate(name)?;
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = &function.params;
        let filter = format!("{}{}", self.filter_clause(filter.as_deref())?, nulls_clause(*null_treatment));
        if function.func.supports_within_group_clause() && !order_by.is_empty() {
            return Ok(format!("{}{filter}", self.ordered_set_call(name, args, order_by)?));
        }
        let order = match order_by.as_slice() {
            [] => String::new(),
            keys => format!(" ORDER BY {}", self.order(keys)?),
        };
        let distinct = if *distinct { "DISTINCT " } else { "" };
        let call = AggregateCall { name: name.to_owned(), distinct, args: self.list(args)?, order, filter };
        self.dialect.aggregate_call(&call, function, self.types)
    }

    fn check_aggregate(&self, name: &str) -> Result<(), Refusal> {
        if self.accepts.aggregate_functions.contains(name) {
            return Ok(());
        }
        Err(Refusal::new(name, "is an aggregate that the far side does not accept"))
    }

    /// The plan of an ordered-set aggregate repeats the ordered value as its first argument, cast to the type that the
    /// function takes; the text does not. That the two are the same value shows when the text is planned.
    fn ordered_set_call(&self, name: &str, args: &[Expr], order: &[Sort]) -> Result<String, Refusal> {
        let ([_, rest @ ..], [_]) = (args, order) else {
            return Err(Refusal::new(name, "is not ordered by one value"));
        };
        let name = self.dialect.function(name);
        Ok(format!("{name}({}) WITHIN GROUP (ORDER BY {})", self.list(rest)?, self.order(order)?))
    }

    pub(super) fn window_function(&self, function: &WindowFunction) -> Result<String, Refusal> {
        let name = function.fun.name();
        match &function.fun {
            WindowFunctionDefinition::AggregateUDF(_) => self.check_aggregate(name)?,
            WindowFunctionDefinition::WindowUDF(_) if self.accepts.window_functions.contains(name) => {}
            WindowFunctionDefinition::WindowUDF(_) => {
                return Err(Refusal::new(name, "is a window function that the far side does not accept"));
            }
        }
        let WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct } =
            &function.params;
        let distinct = if *distinct { "DISTINCT " } else { "" };
        let mut over = Vec::new();
        if !partition_by.is_empty() {
            over.push(format!("PARTITION BY {}", self.keys(partition_by)?));
        }
        if !order_by.is_empty() {
            over.push(format!("ORDER BY {}", self.order(order_by)?));
        }
        over.push(self.frame(window_frame)?);
        Ok(format!(
            "{}({distinct}{}){}{} OVER ({})",
            self.dialect.function(name),
            self.list(args)?,
            self.filter_clause(filter.as_deref())?,
            nulls_clause(*null_treatment),
            over.join(" ")
        ))
    }

    fn filter_clause(&self, filter: Option<&Expr>) -> Result<String, Refusal> {
        match filter {
            Some(filter) => Ok(format!(" FILTER (WHERE {})", self.expression(filter)?)),
            None => Ok(String::new()),
        }
    }

    fn frame(&self, frame: &WindowFrame) -> Result<String, Refusal> {
        let units = match frame.units {
            WindowFrameUnits::Rows => "ROWS",
            WindowFrameUnits::Range => "RANGE",
            WindowFrameUnits::Groups => "GROUPS",
        };
        let (start, end) = (self.bound(&frame.start_bound)?, self.bound(&frame.end_bound)?);
        Ok(format!("{units} BETWEEN {start} AND {end}"))
    }

    fn bound(&self, bound: &WindowFrameBound) -> Result<String, Refusal> {
        let (value, side) = match bound {
            WindowFrameBound::CurrentRow => return Ok("CURRENT ROW".to_owned()),
            WindowFrameBound::Preceding(value) => (value, "PRECEDING"),
            WindowFrameBound::Following(value) => (value, "FOLLOWING"),
        };
        if value.is_null() {
            return Ok(format!("UNBOUNDED {side}"));
        }
        let text = literal::words(value)
            .ok_or_else(|| Refusal::new("window frame", "has a bound that does not survive printing"))?;
        // The parser takes an interval's text, whatever the type of the ordered column, and casts it to that type.
        match value {
            ScalarValue::UInt64(Some(rows)) => Ok(format!("{rows} {side}")),
            _ => Ok(format!("INTERVAL {} {side}", self.dialect.text(&text))),
        }
    }
}

fn nulls_clause(treatment: Option<NullTreatment>) -> &'static str {
    match treatment {
        None => "",
        Some(NullTreatment::IgnoreNulls) => " IGNORE NULLS",
        Some(NullTreatment::RespectNulls) => " RESPECT NULLS",
    }
}

//! The part of the rows that a predicate keeps, and what it leaves of each column's range and distinct values.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::{Profile, column_index};

const EQUAL_DEFAULT: f64 = 0.1;
const RANGE_DEFAULT: f64 = 0.3;
const OTHER_DEFAULT: f64 = 0.3;
const MILLISECONDS_PER_DAY: f64 = 86_400_000.0;

impl Profile {
    /// The rows for which `predicate` holds. Conjuncts apply one after the other to the range that is left, so that
    /// the two ends of an interval are not taken for independent.
    pub(super) fn restricted(mut self, predicate: &Expr, schema: &DFSchema) -> Profile {
        for conjunct in split_conjunction(predicate) {
            let kept = self.selectivity(conjunct, schema);
            self.rows *= kept;
            self.narrow(conjunct, schema, kept);
        }
        self.capped()
    }

    fn selectivity(&self, predicate: &Expr, schema: &DFSchema) -> f64 {
        let kept = match predicate {
            Expr::Literal(ScalarValue::Boolean(value), _) => f64::from(u8::from(*value == Some(true))),
            Expr::Not(inner) => 1.0 - self.selectivity(inner, schema),
            Expr::IsNull(inner) => self.null_fraction(inner, schema),
            Expr::IsNotNull(inner) => 1.0 - self.null_fraction(inner, schema),
            Expr::Like(like) => negated_if(like.negated, EQUAL_DEFAULT),
            Expr::InList(list) => negated_if(list.negated, self.listed(list, schema)),
            Expr::Between(between) => negated_if(between.negated, self.between(between, schema)),
            Expr::BinaryExpr(binary) => self.binary(binary, schema),
            Expr::Alias(alias) => self.selectivity(&alias.expr, schema),
            _ => OTHER_DEFAULT,
        };
        kept.clamp(0.0, 1.0)
    }

    fn binary(&self, binary: &BinaryExpr, schema: &DFSchema) -> f64 {
        let BinaryExpr { left, op, right } = binary;
        match op {
            Operator::And => self.selectivity(left, schema) * self.selectivity(right, schema),
            Operator::Or => {
                let (left, right) = (self.selectivity(left, schema), self.selectivity(right, schema));
                left + right - left * right
            }
            Operator::Eq | Operator::IsNotDistinctFrom => self.equal(left, right, schema),
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - self.equal(left, right, schema),
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                Comparison::of(binary, schema).and_then(|compared| self.in_range(&compared)).unwrap_or(RANGE_DEFAULT)
            }
            Operator::LikeMatch | Operator::ILikeMatch | Operator::RegexMatch | Operator::RegexIMatch => EQUAL_DEFAULT,
            _ => OTHER_DEFAULT,
        }
    }

    fn equal(&self, left: &Expr, right: &Expr, schema: &DFSchema) -> f64 {
        let distinct = |expr| self.column(expr, schema).and_then(|column| column.distinct);
        let values = distinct(left).into_iter().chain(distinct(right)).reduce(f64::max);
        values.map_or(EQUAL_DEFAULT, |values| 1.0 / values.max(1.0))
    }

    fn listed(&self, list: &InList, schema: &DFSchema) -> f64 {
        let one = self.column(&list.expr, schema).and_then(|column| column.distinct);
        list.list.len() as f64 * one.map_or(EQUAL_DEFAULT, |values| 1.0 / values.max(1.0))
    }

    fn between(&self, between: &Between, schema: &DFSchema) -> f64 {
        let end = |op, bound: &Expr| BinaryExpr::new(between.expr.clone(), op, Box::new(bound.clone()));
        let [low, high] = [end(Operator::GtEq, &between.low), end(Operator::LtEq, &between.high)]
            .map(|end| Comparison::of(&end, schema).and_then(|compared| self.in_range(&compared)));
        // Both parts overlap in the interval and cover everything together.
        low.zip(high).map_or(RANGE_DEFAULT, |(low, high)| (low + high - 1.0).max(0.0))
    }

    /// The part of the column's range that a comparison with a literal keeps.
    fn in_range(&self, compared: &Comparison) -> Option<f64> {
        let column = self.columns.get(compared.column)?;
        if let Some(mean) = column.group_mean {
            return Some(compared.kept_of_groups(mean));
        }
        let (least, greatest) = column.range?;
        let (low, high) = compared.narrowed((least, greatest));
        let span = greatest - least;
        Some(if high < low {
            0.0
        } else if span <= 0.0 {
            1.0
        } else {
            (high - low) / span
        })
    }

    fn null_fraction(&self, expr: &Expr, schema: &DFSchema) -> f64 {
        self.column(expr, schema).and_then(|column| column.null_fraction).unwrap_or(EQUAL_DEFAULT)
    }

    fn narrow(&mut self, conjunct: &Expr, schema: &DFSchema, kept: f64) {
        let Expr::BinaryExpr(binary) = conjunct else { return };
        let Some(compared) = Comparison::of(binary, schema) else { return };
        let Some(column) = self.columns.get_mut(compared.column) else { return };
        if compared.op == Operator::Eq {
            column.distinct = Some(1.0);
        } else if compared.op != Operator::NotEq {
            column.range = column.range.map(|range| compared.narrowed(range));
            column.distinct = column.distinct.map(|distinct| (distinct * kept).max(1.0));
        }
    }
}

fn negated_if(negated: bool, kept: f64) -> f64 {
    if negated { 1.0 - kept } else { kept }
}

/// `column op literal`, whichever way round it was written.
struct Comparison {
    column: usize,
    op: Operator,
    literal: f64,
}

impl Comparison {
    fn of(binary: &BinaryExpr, schema: &DFSchema) -> Option<Self> {
        let (column, op, literal) = match (binary.left.as_ref(), binary.right.as_ref()) {
            (column, Expr::Literal(literal, _)) => (column, binary.op, literal),
            (Expr::Literal(literal, _), column) => (column, binary.op.swap()?, literal),
            _ => return None,
        };
        Some(Self { column: column_index(column, schema)?, op, literal: position(literal)? })
    }

    /// The part of the groups whose sum compares so: many are small and few are large, as waiting times are.
    fn kept_of_groups(&self, mean: f64) -> f64 {
        let above = (-self.literal.max(0.0) / mean).exp();
        if matches!(self.op, Operator::Gt | Operator::GtEq) { above } else { 1.0 - above }
    }

    fn narrowed(&self, (least, greatest): (f64, f64)) -> (f64, f64) {
        match self.op {
            Operator::Lt | Operator::LtEq => (least, greatest.min(self.literal)),
            Operator::Gt | Operator::GtEq => (least.max(self.literal), greatest),
            _ => (least, greatest),
        }
    }
}

/// The place of a number or a point in time on one line, so that ranges of it can be measured; dates and timestamps of
/// every unit stand at their days since 1970.
pub(super) fn position(value: &ScalarValue) -> Option<f64> {
    let number = |value: ScalarValue| match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    };
    match value.data_type() {
        data_type if data_type.is_numeric() => number(value.clone()),
        DataType::Date32 => number(value.cast_to(&DataType::Int32).ok()?),
        DataType::Date64 | DataType::Timestamp(_, _) => {
            let instant = value.cast_to(&DataType::Timestamp(TimeUnit::Millisecond, None)).ok()?;
            Some(number(instant.cast_to(&DataType::Int64).ok()?)? / MILLISECONDS_PER_DAY)
        }
        _ => None,
    }
}

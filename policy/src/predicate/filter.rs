//! The two readings of a typed row filter: as a DataFusion expression, and in plain Rust. They must agree on every row.
//!
//! Both order values as Arrow does: floats by IEEE 754's total order (NaN equals itself and is greatest, -0.0 is less than
//! 0.0), texts by their bytes. NULL makes a comparison NULL, and AND, OR and NOT are three-valued as in SQL.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use datafusion_common::{Column, ScalarValue, TableReference};
use datafusion_expr::expr::InList;
use datafusion_expr::{BinaryExpr, Expr, Operator, lit};

use super::{Comparison, Filter, Side};

impl Filter {
    /// The names of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        self.add_columns(&mut columns);
        columns
    }

    fn add_columns<'a>(&'a self, columns: &mut BTreeSet<&'a str>) {
        match self {
            Filter::Compare(left, _, right) => columns.extend([left, right].into_iter().filter_map(Side::column)),
            Filter::In(side, _, _) | Filter::IsNull(side, _) => columns.extend(side.column()),
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| part.add_columns(columns)),
            Filter::Not(part) => part.add_columns(columns),
        }
    }

    /// The filter as an expression over the columns of `qualifier`. It has no cast, and both sides of each comparison have
    /// one type, so that type coercion adds none; it is defined for every value.
    pub fn to_expr(&self, qualifier: Option<&TableReference>) -> Expr {
        match self {
            Filter::Compare(left, comparison, right) => {
                binary(left.to_expr(qualifier), comparison.operator(), right.to_expr(qualifier))
            }
            Filter::In(side, values, negated) if values.is_empty() => among_none(side.to_expr(qualifier), *negated),
            Filter::In(side, values, negated) => {
                let values = values.iter().cloned().map(lit).collect();
                Expr::InList(InList::new(Box::new(side.to_expr(qualifier)), values, *negated))
            }
            Filter::IsNull(side, false) => side.to_expr(qualifier).is_null(),
            Filter::IsNull(side, true) => side.to_expr(qualifier).is_not_null(),
            Filter::And(parts) => joined(parts, Operator::And, qualifier).unwrap_or_else(|| lit(true)),
            Filter::Or(parts) => joined(parts, Operator::Or, qualifier).unwrap_or_else(|| lit(false)),
            Filter::Not(part) => Expr::Not(Box::new(part.to_expr(qualifier))),
        }
    }

    /// Whether a row passes, given its values by column: the meaning that [`Filter::to_expr`] is held against.
    pub fn keeps(&self, row: &dyn Fn(&str) -> ScalarValue) -> bool {
        self.truth(row) == Some(true)
    }

    fn truth(&self, row: &dyn Fn(&str) -> ScalarValue) -> Option<bool> {
        match self {
            Filter::Compare(left, comparison, right) => {
                Some(comparison.holds(left.value(row)?.partial_cmp(&right.value(row)?)?))
            }
            Filter::In(side, values, negated) => {
                let value = side.value(row)?;
                Some(values.contains(&value) != *negated)
            }
            Filter::IsNull(side, negated) => Some(side.value(row).is_none() != *negated),
            Filter::And(parts) => all_hold(parts, row),
            Filter::Or(parts) => any_holds(parts, row),
            Filter::Not(part) => part.truth(row).map(|truth| !truth),
        }
    }
}

/// FALSE wins, then NULL.
fn all_hold(parts: &[Filter], row: &dyn Fn(&str) -> ScalarValue) -> Option<bool> {
    parts
        .iter()
        .map(|part| part.truth(row))
        .try_fold(Some(true), |so_far, truth| match truth {
            Some(false) => Err(Some(false)),
            None => Ok(None),
            Some(true) => Ok(so_far),
        })
        .unwrap_or_else(|falsehood| falsehood)
}

/// TRUE wins, then NULL.
fn any_holds(parts: &[Filter], row: &dyn Fn(&str) -> ScalarValue) -> Option<bool> {
    parts
        .iter()
        .map(|part| part.truth(row))
        .try_fold(Some(false), |so_far, truth| match truth {
            Some(true) => Err(Some(true)),
            None => Ok(None),
            Some(false) => Ok(so_far),
        })
        .unwrap_or_else(|truth| truth)
}

/// `IN ()`: FALSE, `NOT IN ()`: TRUE, and NULL where the side is NULL.
fn among_none(side: Expr, negated: bool) -> Expr {
    let null = lit(ScalarValue::Boolean(None));
    match negated {
        false => binary(side.is_null(), Operator::And, null),
        true => binary(side.is_not_null(), Operator::Or, null),
    }
}

/// The parts under one operator, as a balanced tree: thousands of them are no deep recursion for a planner.
fn joined(parts: &[Filter], operator: Operator, qualifier: Option<&TableReference>) -> Option<Expr> {
    match parts {
        [] => None,
        [part] => Some(part.to_expr(qualifier)),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            Some(binary(joined(left, operator, qualifier)?, operator, joined(right, operator, qualifier)?))
        }
    }
}

fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

impl Comparison {
    fn operator(self) -> Operator {
        match self {
            Comparison::Equal => Operator::Eq,
            Comparison::NotEqual => Operator::NotEq,
            Comparison::Less => Operator::Lt,
            Comparison::LessOrEqual => Operator::LtEq,
            Comparison::Greater => Operator::Gt,
            Comparison::GreaterOrEqual => Operator::GtEq,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Side {
    fn column(&self) -> Option<&str> {
        match self {
            Side::Column(name) => Some(name),
            Side::Value(_) => None,
        }
    }

    fn to_expr(&self, qualifier: Option<&TableReference>) -> Expr {
        match self {
            Side::Column(name) => Expr::Column(Column::new(qualifier.cloned(), name)),
            Side::Value(value) => lit(value.clone()),
        }
    }

    /// The side's value in a row; `None` for NULL.
    fn value(&self, row: &dyn Fn(&str) -> ScalarValue) -> Option<ScalarValue> {
        let value = match self {
            Side::Column(name) => row(name),
            Side::Value(value) => value.clone(),
        };
        (!value.is_null()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use datafusion_expr::type_coercion::binary::BinaryTypeCoercer;
    use datafusion_expr::type_coercion::other::get_coerce_type_for_list;
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    fn column(name: &str) -> Side {
        Side::Column(name.into())
    }

    fn number(value: i64) -> Side {
        Side::Value(ScalarValue::Int64(Some(value)))
    }

    fn is(name: &str, value: i64) -> Filter {
        Filter::Compare(column(name), Comparison::Equal, number(value))
    }

    #[test]
    fn expressions_are_plain() {
        let table = TableReference::partial("civil", "residents");
        let of = |filter: Filter| filter.to_expr(Some(&table)).to_string();
        let values = |values: &[i64]| values.iter().map(|value| ScalarValue::Int64(Some(*value))).collect();
        insta::assert_snapshot!(of(is("Age", 3)), @"civil.residents.Age = Int64(3)");
        insta::assert_snapshot!(
            of(Filter::Compare(column("a"), Comparison::GreaterOrEqual, column("b"))),
            @"civil.residents.a >= civil.residents.b"
        );
        insta::assert_snapshot!(
            of(Filter::In(column("a"), values(&[1, 2]), true)),
            @"civil.residents.a NOT IN ([Int64(1), Int64(2)])"
        );
        insta::assert_snapshot!(
            of(Filter::In(column("a"), vec![], false)),
            @"civil.residents.a IS NULL AND Boolean(NULL)"
        );
        insta::assert_snapshot!(
            of(Filter::In(column("a"), vec![], true)),
            @"civil.residents.a IS NOT NULL OR Boolean(NULL)"
        );
        insta::assert_snapshot!(
            of(Filter::Not(Box::new(Filter::Or(vec![is("a", 1), is("b", 2), Filter::IsNull(column("c"), true)])))),
            @"NOT civil.residents.a = Int64(1) OR civil.residents.b = Int64(2) OR civil.residents.c IS NOT NULL"
        );
        insta::assert_snapshot!(of(Filter::And(vec![])), @"Boolean(true)");
        insta::assert_snapshot!(of(Filter::Or(vec![])), @"Boolean(false)");
        insta::assert_snapshot!(is("Age", 3).to_expr(None), @"Age = Int64(3)");
    }

    #[test]
    fn type_coercion_adds_no_cast() {
        use arrow::datatypes::{DataType as T, TimeUnit as U};
        let dictionary = T::Dictionary(Box::new(T::Int8), Box::new(T::Utf8));
        let texts = vec![T::Utf8, T::LargeUtf8, T::Utf8View, dictionary];
        let zone = Some("+08:00".into());
        let times = vec![T::Date32, T::Date64, T::Timestamp(U::Nanosecond, None), T::Timestamp(U::Second, zone)];
        let numbers = vec![T::Int8, T::UInt64, T::Decimal64(9, 2), T::Decimal256(76, 9), T::Float32, T::Float64];
        let check = |types: Vec<T>, value: Value| {
            for data_type in types {
                let literal = value.to_scalar(&data_type).unwrap().data_type();
                assert_eq!(literal, data_type);
                let sides = BinaryTypeCoercer::new(&data_type, &Operator::LtEq, &literal).get_input_types().unwrap();
                assert_eq!(sides, (data_type.clone(), data_type.clone()));
                let list = get_coerce_type_for_list(&data_type, &[literal.clone(), literal]);
                assert_eq!(list, Some(data_type));
            }
        };
        check(texts, Value::Text("x".into()));
        check(times, Value::Text("2026-01-31".into()));
        check(numbers, Value::Integer(5));
        check(vec![T::Boolean], Value::Boolean(true));
    }

    #[test]
    fn many_parts_are_not_deep() {
        let expr = Filter::Or(vec![is("a", 1); 4096]).to_expr(None);
        let mut depth = 0;
        let mut inner = &expr;
        while let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, .. }) = inner {
            depth += 1;
            inner = left;
        }
        assert_eq!(depth, 12);
    }

    #[test]
    fn extremes_have_an_order_and_null_keeps_out() {
        let float = |value: f64| ScalarValue::Float64(Some(value));
        let check = |comparison, row: ScalarValue, value: f64, expect| {
            let filter = Filter::Compare(column("a"), comparison, Side::Value(float(value)));
            assert_eq!(filter.keeps(&|_| row.clone()), expect, "{row} {comparison:?} {value}");
        };
        check(Comparison::Greater, float(f64::NAN), f64::INFINITY, true);
        check(Comparison::LessOrEqual, float(f64::NAN), 5.0, false);
        check(Comparison::NotEqual, ScalarValue::Float64(None), 5.0, false);
        check(Comparison::Less, float(-0.0), 0.0, true);
        let missing = Filter::Not(Box::new(is("a", 1)));
        assert!(!missing.keeps(&|_| ScalarValue::Int64(None)));
        assert!(!missing.keeps(&|_| ScalarValue::Utf8(Some("of another type".into()))));
        assert!(!Filter::In(column("a"), vec![], true).keeps(&|_| ScalarValue::Int64(None)));
        assert!(Filter::In(column("a"), vec![], true).keeps(&|_| ScalarValue::Int64(Some(1))));
    }

    /// SQL's truth values in their order, FALSE < NULL < TRUE: AND is the least, OR the greatest, NOT the mirror.
    fn rank_of(expr: &Expr, row: &[Option<i64>; 2]) -> u8 {
        let value = |expr: &Expr| match expr {
            Expr::Column(column) => row[usize::from(column.name == "b")],
            Expr::Literal(ScalarValue::Int64(value), _) => *value,
            other => panic!("{other}"),
        };
        let rank = |truth: Option<bool>| truth.map_or(1, |truth| if truth { 2 } else { 0 });
        match expr {
            Expr::Literal(ScalarValue::Boolean(truth), _) => rank(*truth),
            Expr::Not(inner) => 2 - rank_of(inner, row),
            Expr::IsNull(inner) => rank(Some(value(inner).is_none())),
            Expr::IsNotNull(inner) => rank(Some(value(inner).is_some())),
            Expr::InList(InList { expr, list, negated }) => {
                rank(value(expr).map(|found| list.iter().any(|item| value(item) == Some(found)) != *negated))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                rank_of(left, row).min(rank_of(right, row))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                rank_of(left, row).max(rank_of(right, row))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                rank(value(left).zip(value(right)).map(|(left, right)| match op {
                    Operator::Eq => left == right,
                    Operator::NotEq => left != right,
                    Operator::Lt => left < right,
                    Operator::LtEq => left <= right,
                    Operator::Gt => left > right,
                    Operator::GtEq => left >= right,
                    other => panic!("{other}"),
                }))
            }
            other => panic!("{other}"),
        }
    }

    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(column("a")), Just(column("b")), (-1i64..2).prop_map(number)]
    }

    fn comparison() -> impl Strategy<Value = Comparison> {
        use Comparison as C;
        proptest::sample::select(vec![C::Equal, C::NotEqual, C::Less, C::LessOrEqual, C::Greater, C::GreaterOrEqual])
    }

    fn filter() -> impl Strategy<Value = Filter> {
        let values = proptest::collection::vec((-1i64..2).prop_map(|value| ScalarValue::Int64(Some(value))), 0..3);
        let leaf = prop_oneof![
            (side(), comparison(), side())
                .prop_map(|(left, comparison, right)| Filter::Compare(left, comparison, right)),
            (side(), values, any::<bool>()).prop_map(|(side, values, negated)| Filter::In(side, values, negated)),
            (side(), any::<bool>()).prop_map(|(side, negated)| Filter::IsNull(side, negated)),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
                inner.prop_map(|part| Filter::Not(Box::new(part))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn both_readings_agree(filter in filter(), a in proptest::option::of(-1i64..2), b in proptest::option::of(-1i64..2)) {
            let row = |name: &str| ScalarValue::Int64(if name == "a" { a } else { b });
            prop_assert_eq!(filter.keeps(&row), rank_of(&filter.to_expr(None), &[a, b]) == 2);
        }
    }
}

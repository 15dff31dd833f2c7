//! Lists of different layouts: a view of lists DataFusion compares with one of the same type, and with nothing else. Beside another
//! type, or a parameter, which is bound as a plain list, it is made the list that it shows.
//!
//! Not taken: IN and = ANY of a subquery, CASE of a view, NULLIF, and JOIN USING; IS DISTINCT FROM where a type is asked of it before
//! it is written anew, as in the list of SELECT; and views within unions, to which nothing is cast.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

/// The operands of a comparison that is being planned.
pub(super) fn operands(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let types = types_compared(&[&left, &right], schema);
    match types.map(<[Option<DataType>; 2]>::try_from) {
        Some(Ok([of_left, of_right])) => (as_list(left, of_left), as_list(right, of_right)),
        _ => (left, right),
    }
}

/// A comparison, with each part of it as it is compared.
pub(super) fn compared(comparison: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let mut parts = Vec::new();
    comparison.apply_children(|part| {
        parts.push(part);
        Ok(TreeNodeRecursion::Continue)
    })?;
    let Some(types) = types_compared(&parts, schema) else { return Ok(Transformed::no(comparison)) };
    let mut types = types.into_iter();
    comparison.map_children(|part| Ok(Transformed::yes(as_list(part, types.next().flatten()))))
}

/// Where there is a view of lists, and something beside it that is not of its type: for each part the type in which it is compared,
/// unless that is its own. What has no type yet is for the analyzer to see to.
fn types_compared(parts: &[&Expr], schema: &DFSchema) -> Option<Vec<Option<DataType>>> {
    let types = parts.iter().map(|part| part.get_type(schema).ok().filter(|of| !of.is_null()));
    let types: Vec<Option<DataType>> = types.collect();
    if !types.iter().flatten().any(has_views) {
        return None;
    }
    let has_parameter = parts.iter().any(|part| matches!(part, Expr::Placeholder(_)));
    let first = types.iter().flatten().next();
    let is_mixed = has_parameter || types.iter().flatten().any(|of| Some(of) != first);
    is_mixed.then(|| types.iter().map(|of| of.as_ref().filter(|of| has_views(of)).map(without_views)).collect())
}

fn as_list(part: Expr, list: Option<DataType>) -> Expr {
    match list {
        Some(list) => cast(part, list),
        None => part,
    }
}

/// Whether there are views of lists at any depth.
fn has_views(of: &DataType) -> bool {
    match of {
        DataType::ListView(_) | DataType::LargeListView(_) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => has_views(item.data_type()),
        DataType::Dictionary(_, values) => has_views(values),
        DataType::Struct(fields) => fields.iter().any(|field| has_views(field.data_type())),
        _ => false,
    }
}

/// The type of the same values, with lists for views of lists at every depth; dictionaries and runs of them are those lists.
fn without_views(of: &DataType) -> DataType {
    match of {
        DataType::List(item) | DataType::ListView(item) => DataType::List(field_without_views(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(field_without_views(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field_without_views(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field_without_views).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field_without_views(entries), *sorted),
        DataType::Dictionary(_, values) if has_views(values) => without_views(values),
        DataType::RunEndEncoded(_, values) if has_views(values.data_type()) => without_views(values.data_type()),
        other => other.clone(),
    }
}

fn field_without_views(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(without_views(field.data_type())))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::expr::Placeholder;
    use datafusion::logical_expr::{Operator, binary_expr, col, lit};

    use super::*;

    fn item(of: DataType) -> FieldRef {
        Arc::new(Field::new("item", of, true))
    }

    fn list() -> DataType {
        DataType::List(item(DataType::Int64))
    }

    fn schema() -> DFSchema {
        let view = || DataType::ListView(item(DataType::Int64));
        let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
        let columns = [
            ("list", list()),
            ("view", view()),
            ("large_view", DataType::LargeListView(item(DataType::Int64))),
            ("struct", DataType::Struct(vec![item(view())].into())),
            ("number", DataType::Int64),
            ("dictionary", DataType::Dictionary(Box::new(DataType::Int32), Box::new(view()))),
            ("runs", DataType::RunEndEncoded(ends, item(view()))),
            ("texts", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        ];
        let fields = columns.map(|(name, of)| Field::new(name, of, true));
        DFSchema::try_from(Schema::new(fields.to_vec())).unwrap()
    }

    fn check(comparison: Expr, expect: Expr) {
        assert_eq!(compared(comparison, &schema()).unwrap().data, expect);
    }

    #[test]
    fn a_view_of_lists_beside_another_type_is_a_list() {
        let as_list = |name: &str| cast(col(name), list());
        let large = || cast(col("large_view"), DataType::LargeList(item(DataType::Int64)));
        check(col("view").eq(col("list")), as_list("view").eq(col("list")));
        check(col("view").lt(col("large_view")), as_list("view").lt(large()));
        check(col("list").between(col("view"), col("large_view")), col("list").between(as_list("view"), large()));
        check(
            col("view").in_list(vec![col("view"), col("list")], true),
            as_list("view").in_list(vec![as_list("view"), col("list")], true),
        );
        let within = DataType::Struct(vec![item(list())].into());
        check(col("struct").eq(lit(1)), cast(col("struct"), within).eq(lit(1)));
        check(col("dictionary").eq(col("list")), as_list("dictionary").eq(col("list")));
        check(col("runs").eq(col("view")), as_list("runs").eq(as_list("view")));
        let distinct = |left: Expr| binary_expr(left, Operator::IsDistinctFrom, col("list"));
        check(distinct(col("view")), distinct(as_list("view")));
    }

    #[test]
    fn what_is_of_one_type_stays() {
        let null = || lit(ScalarValue::Null);
        for comparison in [
            col("view").eq(col("view")),
            col("view").eq(null()),
            col("list").eq(col("list")),
            col("list").eq(col("number")),
            col("texts").eq(col("number")),
            col("dictionary").eq(col("dictionary")),
            col("view").in_list(vec![null(), col("view")], false),
            col("view").eq(col("elsewhere")),
        ] {
            check(comparison.clone(), comparison);
        }
    }

    #[test]
    fn a_view_beside_a_parameter_is_a_list_before_that_is_bound() {
        let parameter = || Expr::Placeholder(Placeholder::new_with_field("$1".to_string(), None));
        let (left, right) = operands(parameter(), col("view"), &schema());
        assert_eq!((left, right), (parameter(), cast(col("view"), list())));
        let (left, right) = operands(col("number"), parameter(), &schema());
        assert_eq!((left, right), (col("number"), parameter()));
    }
}

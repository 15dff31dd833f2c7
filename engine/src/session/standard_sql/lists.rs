//! Lists of different layouts: a view of lists DataFusion compares with one of the same type, and with nothing else. Beside another
//! type, or a parameter, which is bound as a plain list, it is made the list that it shows.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

/// The operands of a comparison that is being planned.
pub(super) fn operands(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    match differ(&[&left, &right], schema) {
        true => (as_list(left, schema), as_list(right, schema)),
        false => (left, right),
    }
}

/// A comparison, with each part of it as it is compared.
pub(super) fn compared(comparison: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let mut parts = Vec::new();
    comparison.apply_children(|part| {
        parts.push(part);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !differ(&parts, schema) {
        return Ok(Transformed::no(comparison));
    }
    comparison.map_children(|part| Ok(Transformed::yes(as_list(part, schema))))
}

/// Whether there is a view of lists, and something beside it that is not of its type. What has no type yet is for the analyzer to
/// see to.
fn differ(parts: &[&Expr], schema: &DFSchema) -> bool {
    let types = parts.iter().filter_map(|part| part.get_type(schema).ok()).filter(|of| !of.is_null());
    let types: Vec<DataType> = types.collect();
    let has_parameter = parts.iter().any(|part| matches!(part, Expr::Placeholder(_)));
    let is_mixed = has_parameter || types.iter().any(|of| types.first() != Some(of));
    is_mixed && types.iter().any(|of| without_views(of) != *of)
}

fn as_list(part: Expr, schema: &DFSchema) -> Expr {
    let shown = part.get_type(schema).ok().map(|of| (without_views(&of), of));
    match shown {
        Some((shown, of)) if shown != of => cast(part, shown),
        _ => part,
    }
}

/// The type of the same values, with lists for views of lists at every depth.
fn without_views(of: &DataType) -> DataType {
    match of {
        DataType::List(item) | DataType::ListView(item) => DataType::List(field_without_views(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(field_without_views(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field_without_views(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field_without_views).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field_without_views(entries), *sorted),
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
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn item(of: DataType) -> FieldRef {
        Arc::new(Field::new("item", of, true))
    }

    fn list() -> DataType {
        DataType::List(item(DataType::Int64))
    }

    fn schema() -> DFSchema {
        let view = DataType::ListView(item(DataType::Int64));
        let columns = [
            ("list", list()),
            ("view", view.clone()),
            ("large_view", DataType::LargeListView(item(DataType::Int64))),
            ("struct", DataType::Struct(vec![item(view)].into())),
            ("number", DataType::Int64),
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
    }

    #[test]
    fn what_is_of_one_type_stays() {
        let null = || lit(ScalarValue::Null);
        for comparison in [
            col("view").eq(col("view")),
            col("view").eq(null()),
            col("list").eq(col("list")),
            col("list").eq(col("number")),
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

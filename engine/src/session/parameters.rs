//! Values for placeholders, made to fit them: what drivers send is of the type that they know, or that they were told.

mod plain;
mod type_bytes;

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::{Code, EngineError, Result};

pub use plain::plain;

/// The refusal of a row of parameters that takes more bytes, as it is kept, than one may.
pub fn too_many_bytes(bytes_max: usize) -> EngineError {
    let sentence =
        format!("the parameters take more than {bytes_max} bytes as they are kept (`parameter_bytes_max`); bind less");
    EngineError::new(Code::Complexity, sentence)
}

/// The value of one parameter of a row that is [`plain()`], out of the union of all types that its driver knows.
///
/// # Errors
/// `TYPE` for a value that cannot be read.
pub fn value(column: &ArrayRef) -> Result<ScalarValue> {
    let unreadable = |error| EngineError::new(Code::Type, "a parameter cannot be read").caused_by(error);
    ScalarValue::try_from_array(column, 0).map(out_of_unions).map_err(unreadable)
}

fn out_of_unions(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Union(Some((_, value)), ..) => out_of_unions(*value),
        ScalarValue::Union(None, ..) => ScalarValue::Null,
        other => other,
    }
}

/// The type that stands where each parameter stands, by its number: a whole number in LIMIT and OFFSET, and where several stand,
/// the one that they are compared in. `None` where nothing tells one.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub fn types(plan: &LogicalPlan) -> Result<BTreeMap<usize, Option<DataType>>> {
    let mut standing: BTreeMap<usize, Vec<DataType>> = BTreeMap::new();
    let mut note = |id: &str, data_type: Option<&DataType>| {
        let number = id.trim_start_matches('$').parse().unwrap_or(usize::MAX);
        standing.entry(number).or_default().extend(data_type.filter(|data_type| !data_type.is_null()).cloned());
    };
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::Limit(limit) = plan {
            for rows in limit.skip.iter().chain(&limit.fetch) {
                if let Expr::Placeholder(placeholder) = rows.as_ref() {
                    note(&placeholder.id, Some(&DataType::Int64));
                }
            }
        }
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    note(&placeholder.id, placeholder.field.as_ref().map(|field| field.data_type()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(standing.into_iter().map(|(number, types)| (number, common(&types))).collect())
}

fn common(types: &[DataType]) -> Option<DataType> {
    let (first, others) = types.split_first()?;
    others.iter().try_fold(first.clone(), |common, other| comparison_coercion(&common, other))
}

/// The values for the placeholders of a plan: a text where another type stands is read as that type, and a NULL has the
/// type that stands there. A time of day has the width of the one beside it. Other values stay as they came, and compare like literals of their type.
///
/// # Errors
/// `TYPE` for another number of values than of placeholders, and for a text that is none of its type.
pub fn fit(plan: &LogicalPlan, values: &ParamValues) -> Result<ParamValues> {
    let types = types(plan)?;
    let ParamValues::List(given) = values else {
        return Err(EngineError::new(Code::Type, "parameters are bound by position"));
    };
    if given.len() != types.len() {
        let sentence =
            format!("the statement has {} parameters, and {} values are bound to them", types.len(), given.len());
        return Err(EngineError::new(Code::Type, sentence));
    }
    let fitted = given.iter().enumerate().map(|(index, given)| fit_one(&types, index + 1, given.value()));
    Ok(ParamValues::from(fitted.collect::<Result<Vec<_>>>()?))
}

fn fit_one(types: &BTreeMap<usize, Option<DataType>>, number: usize, value: &ScalarValue) -> Result<ScalarValue> {
    let wanted = types.get(&number).and_then(Option::as_ref);
    let given = value.data_type();
    let is_text = matches!(given, DataType::Utf8 | DataType::LargeUtf8);
    // Times of day of both widths are not compared.
    let widens = |wanted: &DataType| matches!((&given, wanted), (DataType::Time32(_), DataType::Time64(_)));
    match wanted {
        None if given.is_null() => Ok(ScalarValue::Utf8(None)),
        Some(wanted) if value.is_null() || (is_text && *wanted != given) || widens(wanted) => {
            value.cast_to(wanted).map_err(|error| {
                let sentence = format!("the value of parameter {number} is no {wanted}");
                EngineError::new(Code::Type, sentence).caused_by(error)
            })
        }
        _ => Ok(value.clone()),
    }
}

/// The one row of parameters, which is plain, as values.
///
/// # Errors
/// `TYPE` for a value that cannot be read.
pub fn values(columns: &[ArrayRef]) -> Result<ParamValues> {
    debug_assert!(columns.iter().all(|column| column.len() == 1));
    let values = columns.iter().map(value).collect::<Result<Vec<_>>>()?;
    Ok(ParamValues::from(values))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray, UnionArray};
    use arrow::datatypes::{Field, UnionFields};
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn a_value_in_a_union_is_that_value() {
        let fields: UnionFields = [
            (0, Arc::new(Field::new("s", DataType::Utf8, true))),
            (1, Arc::new(Field::new("i", DataType::Int32, true))),
        ]
        .into_iter()
        .collect();
        let children: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(Vec::<&str>::new())), Arc::new(Int32Array::from(vec![7]))];
        let union = UnionArray::try_new(fields, vec![1].into(), Some(vec![0].into()), children).unwrap();
        let union: ArrayRef = Arc::new(union);
        assert_eq!(value(&union).unwrap(), ScalarValue::Int32(Some(7)));
    }

    async fn fitted(sql: &str, given: Vec<ScalarValue>) -> Result<Vec<ScalarValue>> {
        let plan = SessionContext::new().state().create_logical_plan(sql).await.unwrap();
        match fit(&plan, &ParamValues::from(given))? {
            ParamValues::List(values) => Ok(values.into_iter().map(|value| value.value().clone()).collect()),
            ParamValues::Map(_) => panic!("they are bound by position"),
        }
    }

    #[tokio::test]
    async fn a_parameter_has_one_type_wherever_it_stands() {
        let told = async |sql: &str| {
            let plan = SessionContext::new().state().create_logical_plan(sql).await.unwrap();
            types(&plan).unwrap().into_values().collect::<Vec<_>>()
        };
        let t = "SELECT $1 FROM (VALUES (1, 1.5, DATE '2020-01-01')) AS t(i, f, d)";
        assert_eq!(
            told(&format!("{t} LIMIT $2 OFFSET $3")).await,
            [None, Some(DataType::Int64), Some(DataType::Int64)]
        );
        assert_eq!(told(&format!("{t} WHERE i = $1 LIMIT $1")).await, [Some(DataType::Int64)]);
        assert_eq!(told(&format!("{t} WHERE i = $1 AND f > $1")).await, [Some(DataType::Float64)]);
        assert_eq!(told(&format!("{t} WHERE f = $1 AND d > $1")).await, [None]);
    }

    #[tokio::test]
    async fn texts_and_nulls_become_what_stands_there_and_numbers_stay() {
        let sql = "SELECT * FROM (VALUES (1, DATE '2020-01-01')) AS t(i, d) WHERE i > $1 AND d = $2";
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_string()));
        let day = ScalarValue::Date32(Some(18_262));
        assert_eq!(fitted(sql, vec![text("7"), text("2020-01-01")]).await.unwrap(), [ScalarValue::Int64(Some(7)), day]);
        let kept = vec![ScalarValue::Float64(Some(1.5)), ScalarValue::Date64(Some(0))];
        assert_eq!(fitted(sql, kept.clone()).await.unwrap(), kept);
        let nulls = [ScalarValue::Int64(None), ScalarValue::Date32(None)];
        assert_eq!(fitted(sql, vec![ScalarValue::Null, ScalarValue::Utf8(None)]).await.unwrap(), nulls);
        assert_eq!(fitted(sql, vec![text("x"), text("2020-01-01")]).await.unwrap_err().code(), Code::Type);
        assert_eq!(fitted(sql, vec![text("7")]).await.unwrap_err().code(), Code::Type);
    }
}

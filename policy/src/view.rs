//! The treated view of a table: what its owner lets one subject see, as a plan over the raw scan.
//!
//! ```text
//! Projection κ      each column that is not hidden, in its form, under its own name
//!   Filter φ        the row filter, where there is one
//!     scan          the raw table
//! ```
//!
//! The barrier goes on top: on its own this plan protects nothing, because an optimizer would mix the user's conditions
//! into it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_common::{Column, DFSchema, DataFusionError, Result, ScalarValue, TableReference, plan_datafusion_err};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};

use crate::decision::{ColumnDecision, Decision, Treatment};
use crate::mask::{ColumnMask, MaskFunction};
use crate::pseudonym::PseudonymKeys;

/// The name of the column that [`treat_with_entity`] adds.
pub const ENTITY_COLUMN: &str = "__entity";

/// The view of `scan`, a plan that reads the whole table. Names and qualifiers stay as they are in `scan`.
///
/// # Errors
/// If the decision does not fit the table, or a pseudonym has no key: the table is denied.
pub fn treat(decision: &Decision, scan: LogicalPlan, keys: Option<&PseudonymKeys>) -> Result<LogicalPlan> {
    view(decision, scan, keys, Entity::Absent)
}

/// The same with one more column at the end, [`ENTITY_COLUMN`]: the release's entity, raw.
///
/// It is for the barrier's own counting of entities, directly above; it must never reach a node of the user's.
///
/// # Errors
/// As [`treat`], and if the decision has no release.
pub fn treat_with_entity(decision: &Decision, scan: LogicalPlan, keys: Option<&PseudonymKeys>) -> Result<LogicalPlan> {
    view(decision, scan, keys, Entity::Last)
}

/// The columns that the subject is told of: names, types and nullability after treatment, without metadata. Columns that
/// the decision does not name, or that are not there, are left out.
pub fn treated_schema(decision: &Decision, schema: &Schema) -> SchemaRef {
    let told = |column: &ColumnDecision| Some(told(&column.treatment, schema.field_with_name(&column.name).ok()?));
    Arc::new(Schema::new(decision.columns.iter().filter_map(told).flatten().collect::<Vec<Field>>()))
}

#[derive(Clone, Copy)]
enum Entity {
    Absent,
    Last,
}

fn view(decision: &Decision, scan: LogicalPlan, keys: Option<&PseudonymKeys>, entity: Entity) -> Result<LogicalPlan> {
    let schema = Arc::clone(scan.schema());
    let treating = Treating { decision, schema: &schema, keys };
    let mut columns = Vec::with_capacity(decision.columns.len());
    for column in &decision.columns {
        columns.extend(treating.column(column)?);
    }
    if let Entity::Last = entity {
        columns.push(treating.entity()?);
    }
    let rows = LogicalPlanBuilder::from(scan);
    let rows = match &decision.row_filter {
        Some(row_filter) => rows.filter(row_filter.filter.to_expr(treating.qualifier()))?,
        None => rows,
    };
    rows.project(columns)?.build()
}

/// What a column is told as; `None` if hidden.
fn told(treatment: &Treatment, field: &Field) -> Option<Field> {
    let (data_type, nullable) = match treatment {
        Treatment::Hidden | Treatment::Masked(ColumnMask::Hide) => return None,
        Treatment::Clear => (field.data_type().clone(), field.is_nullable()),
        Treatment::Masked(mask) => (mask.output_type(field.data_type()), mask.nullable(field)),
        Treatment::AggregateOnly { .. } => {
            (field.data_type().clone(), field.is_nullable() || field.data_type().is_floating())
        }
    };
    Some(Field::new(field.name(), data_type, nullable))
}

struct Treating<'a> {
    decision: &'a Decision,
    schema: &'a DFSchema,
    keys: Option<&'a PseudonymKeys>,
}

impl Treating<'_> {
    /// The expression for a column, under its own name; `None` if hidden.
    fn column(&self, column: &ColumnDecision) -> Result<Option<Expr>> {
        let (qualifier, field) = self.find(&column.name)?;
        let raw = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let treated = match &column.treatment {
            Treatment::Hidden | Treatment::Masked(ColumnMask::Hide) => return Ok(None),
            Treatment::Clear => return Ok(Some(raw)),
            Treatment::Masked(ColumnMask::ReplaceWithNull) => lit(ScalarValue::try_new_null(field.data_type())?),
            Treatment::Masked(mask) => self.masked(mask, field.data_type()).map_err(refused)?.call(vec![raw]),
            Treatment::AggregateOnly { low, high } => {
                let clamp = MaskFunction::clamp(field.data_type(), low, high).map_err(refused)?;
                ScalarUDF::new_from_impl(clamp).call(vec![raw])
            }
        };
        Ok(Some(treated.alias_qualified(qualifier.cloned(), field.name())))
    }

    fn masked(&self, mask: &ColumnMask, input: &DataType) -> Result<ScalarUDF, String> {
        let key = match (mask, self.keys) {
            (ColumnMask::Pseudonym(domain), Some(keys)) => Some(keys.pseudonyms(&self.decision.purpose, domain)?),
            _ => None,
        };
        Ok(ScalarUDF::new_from_impl(MaskFunction::mask(mask, input, key.as_ref())?))
    }

    fn entity(&self) -> Result<Expr> {
        let release = self.decision.release.as_ref();
        let release = release.ok_or_else(|| plan_datafusion_err!("the decision releases no aggregates"))?;
        let (qualifier, field) = self.find(&release.entity)?;
        let raw = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        Ok(raw.alias_qualified(qualifier.cloned(), ENTITY_COLUMN))
    }

    fn find(&self, name: &str) -> Result<(Option<&TableReference>, &FieldRef)> {
        let mut named = self.schema.iter().filter(|(_, field)| field.name() == name);
        match (named.next(), named.next()) {
            (Some(found), None) => Ok(found),
            _ => Err(plan_datafusion_err!("the decision's column `{name}` is not one column of the table")),
        }
    }

    fn qualifier(&self) -> Option<&TableReference> {
        self.schema.iter().next().and_then(|(qualifier, _)| qualifier)
    }
}

fn refused(reason: String) -> DataFusionError {
    DataFusionError::Plan(reason)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use datafusion_expr::logical_plan::table_scan;

    use super::*;
    use crate::decision::{GrantedBy, Release, RowFilter};
    use crate::predicate::{Comparison, Filter, Side};
    use crate::pseudonym::PseudonymHash;
    use crate::resource::TableName;
    use crate::value::Value;

    fn schema() -> Schema {
        let commented = HashMap::from([(String::from("comment"), String::from("SECRET"))]);
        Schema::new(vec![
            Field::new("Id", DataType::Int64, false).with_metadata(commented.clone()),
            Field::new("name", DataType::Utf8View, true),
            Field::new("born", DataType::Date32, false),
            Field::new("salary", DataType::Float64, false),
            Field::new("note", DataType::Utf8, true),
            Field::new("region", DataType::Utf8, true).with_metadata(commented),
            Field::new("phone", DataType::Utf8, true),
        ])
    }

    fn scan() -> LogicalPlan {
        table_scan(Some("civil.residents"), &schema(), None).unwrap().build().unwrap()
    }

    fn decision(forms: Vec<(&str, Treatment)>) -> Decision {
        let columns = forms.into_iter().map(|(name, treatment)| ColumnDecision {
            name: name.into(),
            treatment,
            policies: vec![],
        });
        Decision {
            table: TableName::new("civil", "residents"),
            grant: GrantedBy { id: "g-0001".into(), until: None, rows_per_day: None, bytes_per_day: None },
            purpose: "research".into(),
            row_filter: None,
            columns: columns.collect(),
            release: None,
            keys: vec![],
        }
    }

    /// Every form, a row filter over a hidden column, and a hidden entity.
    fn all_forms() -> Decision {
        let bounds = |low, high| Treatment::AggregateOnly {
            low: ScalarValue::Float64(Some(low)),
            high: ScalarValue::Float64(Some(high)),
        };
        let value = Side::Value(ScalarValue::Utf8(Some("north".into())));
        Decision {
            row_filter: Some(RowFilter {
                filter: Filter::Compare(Side::Column("phone".into()), Comparison::NotEqual, value),
                policies: vec!["own_regions".into()],
                reads: vec!["phone".into()],
            }),
            release: Some(Release { min_group: 5, entity: "phone".into(), group_by: vec!["region".into()] }),
            keys: vec![],
            ..decision(vec![
                ("Id", Treatment::Masked(ColumnMask::Pseudonym("resident".into()))),
                ("name", Treatment::Masked(ColumnMask::ShowFirst(1))),
                ("born", Treatment::Masked(ColumnMask::TruncateToYear)),
                ("salary", bounds(0.0, 500.0)),
                ("note", Treatment::Masked(ColumnMask::ReplaceWithNull)),
                ("region", Treatment::Clear),
                ("phone", Treatment::Hidden),
            ])
        }
    }

    fn keys() -> PseudonymKeys {
        PseudonymKeys::new(&[7; 32], PseudonymHash::Sha256, 1).unwrap()
    }

    #[test]
    fn a_view_is_a_projection_over_a_filter_over_the_scan() {
        let plan = treat(&all_forms(), scan(), Some(&keys())).unwrap();
        insta::assert_snapshot!(plan, @r#"
        Projection: chancery_mask_pseudonym(civil.residents.Id) AS Id, chancery_mask_show_first(civil.residents.name) AS name, chancery_mask_truncate_to_year(civil.residents.born) AS born, chancery_clamp(civil.residents.salary) AS salary, Utf8(NULL) AS note, civil.residents.region
          Filter: civil.residents.phone != Utf8("north")
            TableScan: civil.residents
        "#);
    }

    #[test]
    fn the_plan_has_the_columns_that_the_subject_is_told_of() {
        let plan = treat(&all_forms(), scan(), Some(&keys())).unwrap();
        let told = treated_schema(&all_forms(), &schema());
        let names: Vec<_> = told.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["Id", "name", "born", "salary", "note", "region"]);
        let table = TableReference::partial("civil", "residents");
        for ((qualifier, planned), told) in plan.schema().iter().zip(told.fields()) {
            assert_eq!(qualifier, Some(&table));
            assert_eq!(
                (planned.name(), planned.data_type(), planned.is_nullable()),
                (told.name(), told.data_type(), told.is_nullable())
            );
            assert!(told.metadata().is_empty());
        }
        assert_eq!(plan.schema().fields().len(), told.fields().len());
    }

    #[test]
    fn the_entity_comes_last_and_raw() {
        let plan = treat_with_entity(&all_forms(), scan(), Some(&keys())).unwrap();
        let (qualifier, last) = plan.schema().iter().last().unwrap();
        assert_eq!((qualifier.map(|name| name.table()), last.name().as_str()), (Some("residents"), ENTITY_COLUMN));
        assert!(plan.to_string().contains("civil.residents.phone AS __entity"));
        let released = Decision { release: None, ..all_forms() };
        assert!(treat_with_entity(&released, scan(), Some(&keys())).is_err());
    }

    #[test]
    fn without_a_row_filter_there_is_no_filter_and_clear_columns_are_plain() {
        let decision = decision(vec![("region", Treatment::Clear), ("note", Treatment::Clear)]);
        insta::assert_snapshot!(treat(&decision, scan(), None).unwrap(), @r"
        Projection: civil.residents.region, civil.residents.note
          TableScan: civil.residents
        ");
    }

    #[test]
    fn what_all_is_hidden_from_is_a_view_without_columns() {
        let decision = decision(vec![("region", Treatment::Hidden), ("note", Treatment::Masked(ColumnMask::Hide))]);
        assert_eq!(treat(&decision, scan(), None).unwrap().schema().fields().len(), 0);
        assert_eq!(treated_schema(&decision, &schema()).fields().len(), 0);
    }

    #[test]
    fn what_cannot_be_treated_is_denied() {
        let keys = keys();
        let denied =
            |name, treatment, keys| treat(&decision(vec![(name, treatment)]), scan(), keys).unwrap_err().to_string();
        let pseudonym = Treatment::Masked(ColumnMask::Pseudonym("resident".into()));
        assert!(denied("Id", pseudonym.clone(), None).contains("no secret for pseudonyms"));
        assert!(denied("salary", pseudonym, Some(&keys)).contains("no identifiers"));
        assert!(denied("gone", Treatment::Clear, None).contains("`gone`"));
        assert!(denied("gone", Treatment::Hidden, None).contains("`gone`"));
        let width = Treatment::Masked(ColumnMask::Bucket(Value::Integer(10)));
        assert!(denied("name", width, None).contains("for numbers"));
        let bounds = Treatment::AggregateOnly { low: ScalarValue::Int64(Some(0)), high: ScalarValue::Int64(Some(5)) };
        assert!(denied("salary", bounds, None).contains("not of the column's type"));
    }
}

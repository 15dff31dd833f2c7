//! What decides whether a group may be told: how many entities are in it, and whether one of them is most of its sum.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::cast::{as_float64_array, as_list_array};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDFImpl, Signature, TypeSignature, Volatility};

/// The name of the function that decides whether a group is told; no asker can write it.
pub const RELEASABLE: &str = "chancery_releasable";
/// A sum is told when its largest entity is at most this share of it.
const LARGEST_SHARE_MAX: f64 = 0.8;

/// `chancery_releasable(entity [, value])`: whether a group has enough different entities, NULL not counted, and none of
/// them is more than [`LARGEST_SHARE_MAX`] of the sum of the values. Rows without an entity are one entity when sums are
/// compared.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Releasable {
    min_group: u64,
    signature: Signature,
}

impl Releasable {
    pub(super) fn new(min_group: u64) -> Self {
        let one_or_two = vec![TypeSignature::Any(1), TypeSignature::Any(2)];
        Self { min_group, signature: Signature::one_of(one_or_two, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Releasable {
    fn name(&self) -> &'static str {
        RELEASABLE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(entity) = arguments.expr_fields.first() else {
            return internal_err!("an entity is counted without an entity");
        };
        let entity_type = entity.data_type().clone();
        Ok(Box::new(Entities { min_group: self.min_group, entity_type, sums: HashMap::new(), entity_bytes: 0 }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(entity) = arguments.input_fields.first() else {
            return internal_err!("an entity is counted without an entity");
        };
        let list = |name: &str, of: &DataType| {
            let item = Arc::new(Field::new_list_field(of.clone(), true));
            Arc::new(Field::new(name, DataType::List(item), true))
        };
        Ok(vec![list("entities", entity.data_type()), list("sums", &DataType::Float64)])
    }

    fn default_value(&self, _of: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::from(false))
    }
}

/// The entities of one group, each with the sum of its values.
#[derive(Debug)]
struct Entities {
    min_group: u64,
    entity_type: DataType,
    sums: HashMap<ScalarValue, f64>,
    entity_bytes: usize,
}

impl Entities {
    fn add(&mut self, entity: ScalarValue, value: f64) {
        let bytes = entity.size();
        *self.sums.entry(entity).or_insert_with(|| {
            self.entity_bytes += bytes;
            0.0
        }) += value;
    }

    fn add_all(&mut self, entities: &ArrayRef, values: Option<&ArrayRef>) -> Result<()> {
        let values = values.map(|values| as_float64_array(values)).transpose()?;
        for row in 0..entities.len() {
            let value = values.filter(|values| values.is_valid(row)).map_or(0.0, |values| values.value(row));
            self.add(ScalarValue::try_from_array(entities, row)?, value);
        }
        Ok(())
    }

    fn is_releasable(&self) -> bool {
        let known = self.sums.keys().filter(|entity| !entity.is_null()).count();
        let largest = self.sums.values().fold(0.0_f64, |largest, sum| largest.max(sum.abs()));
        let total: f64 = self.sums.values().sum();
        // A sum that is no number compares as false, and is not told.
        u64::try_from(known).is_ok_and(|known| known >= self.min_group) && largest <= LARGEST_SHARE_MAX * total.abs()
    }
}

impl Accumulator for Entities {
    fn update_batch(&mut self, arguments: &[ArrayRef]) -> Result<()> {
        match arguments {
            [entities] => self.add_all(entities, None),
            [entities, values] => self.add_all(entities, Some(values)),
            _ => internal_err!("an entity is counted with other arguments"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::from(self.is_releasable()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<(ScalarValue, f64)>() + self.entity_bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (entities, sums): (Vec<_>, Vec<_>) =
            self.sums.drain().map(|(entity, sum)| (entity, ScalarValue::from(sum))).unzip();
        self.entity_bytes = 0;
        let list = |values: &[ScalarValue], of: &DataType| ScalarValue::List(ScalarValue::new_list(values, of, true));
        Ok(vec![list(&entities, &self.entity_type), list(&sums, &DataType::Float64)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [entities, sums] = states else {
            return internal_err!("entities are merged from another state");
        };
        for (entities, sums) in as_list_array(entities)?.iter().zip(as_list_array(sums)?.iter()) {
            if let (Some(entities), Some(sums)) = (entities, sums) {
                self.add_all(&entities, Some(&sums))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::*;

    fn entities(min_group: u64) -> Entities {
        Entities { min_group, entity_type: DataType::Utf8, sums: HashMap::new(), entity_bytes: 0 }
    }

    fn columns(rows: &[(Option<&str>, Option<f64>)]) -> [ArrayRef; 2] {
        let entities = rows.iter().map(|(entity, _)| *entity).collect::<StringArray>();
        let values = rows.iter().map(|(_, value)| *value).collect::<Float64Array>();
        [Arc::new(entities), Arc::new(values)]
    }

    fn check(min_group: u64, rows: &[(Option<&str>, Option<f64>)], expected: bool) {
        let mut at_once = entities(min_group);
        at_once.update_batch(&columns(rows)).unwrap();
        assert_eq!(at_once.is_releasable(), expected, "{rows:?}");
        let mut merged = entities(min_group);
        for row in rows {
            let mut part = entities(min_group);
            part.update_batch(&columns(&[*row])).unwrap();
            let state: Vec<_> = part.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
        }
        assert_eq!(merged.is_releasable(), expected, "in parts: {rows:?}");
    }

    #[test]
    fn enough_different_entities_and_none_of_them_most_of_the_sum() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        check(2, &[], false);
        check(1, &[(a, Some(1.0))], false);
        check(2, &[(a, Some(1.0)), (a, Some(1.0))], false);
        check(2, &[(a, Some(1.0)), (b, Some(1.0))], true);
        check(2, &[(a, Some(1.0)), (None, Some(1.0))], false);
        check(2, &[(a, Some(4.0)), (b, Some(1.0))], true);
        check(2, &[(a, Some(4.1)), (b, Some(1.0))], false);
        check(2, &[(a, Some(2.0)), (a, Some(2.1)), (b, Some(1.0))], false);
        check(3, &[(a, Some(5.0)), (b, Some(-5.0)), (c, Some(1.0))], false);
        check(2, &[(a, None), (b, None)], true);
        check(2, &[(a, Some(1.0)), (b, None)], false);
        check(2, &[(a, Some(f64::NAN)), (b, Some(1.0))], false);
    }

    #[test]
    fn what_it_holds_is_accounted_for() {
        let mut many = entities(1);
        let empty = many.size();
        let names: Vec<String> = (0..100).map(|name| format!("{name:0100}")).collect();
        let rows: Vec<_> = names.iter().map(|name| (Some(name.as_str()), Some(1.0))).collect();
        many.update_batch(&columns(&rows)).unwrap();
        assert!(many.size() >= empty + 100 * 100);
    }
}

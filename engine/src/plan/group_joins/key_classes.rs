//! Which columns of a join tree are equal in every row of its result: `a = b` and `b = c` make `a = c`.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::Column;

/// Classes of equal columns. Any set of equalities that connects the columns of a class says the same as any other.
#[derive(Debug, Default)]
pub(super) struct KeyClasses {
    classes: Vec<BTreeSet<Column>>,
}

impl KeyClasses {
    /// Equality is an equivalence on this type; on floats it is not for every source (NaN, negative zero).
    pub(super) fn covers(data_type: &DataType) -> bool {
        data_type.is_integer()
            || data_type.is_temporal()
            || data_type.is_decimal()
            || data_type.is_string()
            || matches!(data_type, DataType::Boolean)
    }

    /// Learns that two columns of one type are equal.
    pub(super) fn equate(&mut self, left: Column, right: Column) {
        let (touched, mut classes): (Vec<_>, Vec<_>) =
            self.classes.drain(..).partition(|class| class.contains(&left) || class.contains(&right));
        let mut merged: BTreeSet<Column> = touched.into_iter().flatten().collect();
        merged.extend([left, right]);
        classes.push(merged);
        classes.sort();
        self.classes = classes;
    }

    /// The classes, each in the order of its columns' names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &BTreeSet<Column>> {
        self.classes.iter()
    }

    /// The columns equal to `column`, itself among them.
    pub(super) fn mates(&self, column: &Column) -> impl Iterator<Item = &Column> {
        self.classes.iter().filter(move |class| class.contains(column)).flatten()
    }
}

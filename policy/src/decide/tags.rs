//! The tags of one table: its own, and its columns'. A column's own value of a tag stands before the table's.

use std::collections::BTreeMap;

use crate::decision::Denial;
use crate::resource::TableName;
use crate::set::{PolicySet, Tagged};
use crate::statement::Columns;

/// A table that is tagged so, or has a column that is, is not open to everyone, whatever a grant says.
pub(crate) const NEVER_OPEN: [&str; 3] = ["personal", "trade_secret", "state_secret"];

/// The tags of one table. Keyed by column (`None`: the table's own) and tag.
#[derive(Debug, Default)]
pub(crate) struct Tags<'a> {
    values: BTreeMap<(Option<&'a str>, &'a str), &'a str>,
}

impl<'a> Tags<'a> {
    /// The tags of this table, if the set knows all of them.
    pub(crate) fn of(set: &'a PolicySet, table: &TableName) -> Result<Self, Denial> {
        let mut values = BTreeMap::new();
        for tagged in set.tagged.iter().filter(|tagged| tagged.table == *table) {
            if !known(set, tagged) {
                let reason = format!("has no value '{}' here", tagged.value);
                return Err(Denial::Policy { policy: format!("tag `{}`", tagged.tag), reason });
            }
            values.insert((tagged.column.as_deref(), tagged.tag.as_str()), tagged.value.as_str());
        }
        Ok(Self { values })
    }

    /// Whether a policy about these columns takes this one by a tag of the column's own: whoever set the tag has looked at
    /// the column, and the policy says what becomes of it.
    pub(crate) fn selects_by_its_own(&self, columns: &Columns, column: &str) -> bool {
        match columns {
            Columns::Named(_) => false,
            Columns::Tagged { tag, value } => {
                let own = self.values.get(&(Some(column), tag.as_str()));
                own.is_some_and(|own| value.as_deref().is_none_or(|value| value == *own))
            }
        }
    }

    /// Whether the table or a column of it has one of these values, of whatever tag.
    pub(crate) fn has_any_value(&self, values: &[&str]) -> bool {
        self.values.values().any(|value| values.contains(value))
    }

    /// Whether a policy about these columns is about this one.
    pub(crate) fn selects(&self, columns: &Columns, column: &str) -> bool {
        match columns {
            Columns::Named(names) => names.iter().any(|name| name == column),
            Columns::Tagged { tag, value } => {
                let tag = tag.as_str();
                let here = self.values.get(&(Some(column), tag)).or_else(|| self.values.get(&(None, tag)));
                here.is_some_and(|here| value.as_deref().is_none_or(|value| value == *here))
            }
        }
    }
}

fn known(set: &PolicySet, tagged: &Tagged) -> bool {
    set.tags.get(&tagged.tag).is_some_and(|values| values.contains(&tagged.value))
}

//! The foreign keys of listed tables, each with the table that it refers to. One that does not fit what is listed is
//! none: a site can tell a coordinator anything.

use std::collections::HashMap;

use connectors::connector::ForeignKey;

use crate::flight::door::ListedTable;

/// A foreign key between two listed tables.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    /// The table that holds it.
    pub from: &'a ListedTable,
    /// The table that it refers to.
    pub to: &'a ListedTable,
    /// Their columns, and what becomes of them.
    pub key: &'a ForeignKey,
    /// What it is called. A source's own name for it is not told.
    pub name: String,
    /// What the key that it refers to is called; `None` where that is not the primary one, since others have no name
    /// here.
    pub unique_name: Option<String>,
}

/// The tables of one listing, by their names.
type Tables<'a> = HashMap<[&'a str; 3], &'a ListedTable>;

impl<'a> Reference<'a> {
    /// Each column and the one that it refers to, in the key's order.
    pub fn columns(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.key.columns.iter().map(String::as_str).zip(self.key.referenced.iter().map(String::as_str))
    }
}

/// The foreign keys among these tables, in the order of the tables.
pub fn references<'a>(tables: impl Iterator<Item = &'a ListedTable> + Clone) -> Vec<Reference<'a>> {
    let named: Tables<'a> =
        tables.clone().map(|table| ([&*table.catalog, &*table.schema, &*table.table], table)).collect();
    tables.flat_map(|from| references_of(from, &named)).collect()
}

fn references_of<'a>(from: &'a ListedTable, tables: &Tables<'a>) -> Vec<Reference<'a>> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut references = Vec::new();
    for key in &from.foreign_keys {
        let Some(to) = tables.get(&[&*from.catalog, &*from.schema, &*key.table]).copied() else { continue };
        let is_whole = !key.columns.is_empty() && key.columns.len() == key.referenced.len();
        if !is_whole || !has(from, &key.columns) || !has(to, &key.referenced) {
            continue;
        }
        let name = format!("{}_{}_fkey", from.table, key.columns.join("_"));
        let again = names.entry(name.clone()).or_default();
        let name = if *again == 0 { name } else { format!("{name}{again}") };
        *again += 1;
        let unique_name = is_primary(to, &key.referenced).then(|| to.key_name());
        references.push(Reference { from, to, key, name, unique_name });
    }
    references
}

fn has(table: &ListedTable, columns: &[String]) -> bool {
    columns.iter().all(|column| table.columns.index_of(column).is_ok())
}

/// Whether the columns are those of the table's primary key, in whatever order.
fn is_primary(table: &ListedTable, columns: &[String]) -> bool {
    let sorted = |columns: &[String]| {
        let mut sorted = columns.to_vec();
        sorted.sort_unstable();
        sorted
    };
    sorted(&table.primary_key) == sorted(columns)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn key(columns: &[&str], table: &str, referenced: &[&str]) -> ForeignKey {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        ForeignKey {
            columns: owned(columns),
            table: table.to_string(),
            referenced: owned(referenced),
            on_update: None,
            on_delete: None,
        }
    }

    fn table(name: &str, columns: &[&str], foreign_keys: Vec<ForeignKey>) -> ListedTable {
        let fields = columns.iter().map(|column| Field::new(*column, DataType::Int64, true));
        ListedTable {
            catalog: "north".to_string(),
            schema: "civil".to_string(),
            table: name.to_string(),
            is_view: false,
            columns: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            primary_key: vec!["a".to_string(), "b".to_string()],
            foreign_keys,
            comment: None,
            tags: None,
        }
    }

    #[test]
    fn what_fits_has_a_name_and_what_does_not_is_none() {
        let keys = vec![
            key(&["x", "y"], "parent", &["b", "a"]),
            key(&["x", "y"], "parent", &["a", "c"]),
            key(&["x"], "child", &["x"]),
            key(&["x"], "gone", &["a"]),
            key(&["hidden"], "parent", &["a"]),
            key(&["x"], "parent", &["hidden"]),
            key(&["x", "y"], "parent", &["a"]),
            key(&[], "parent", &[]),
        ];
        let elsewhere = ListedTable { schema: "lab".to_string(), ..table("gone", &["a"], vec![]) };
        let tables = [table("child", &["x", "y"], keys), table("parent", &["a", "b", "c"], vec![]), elsewhere];
        let told: Vec<_> = references(tables.iter())
            .iter()
            .map(|reference| (reference.name.clone(), reference.to.table.clone(), reference.unique_name.clone()))
            .collect();
        let expected = |name: &str, to: &str, unique: Option<&str>| {
            (name.to_string(), to.to_string(), unique.map(ToString::to_string))
        };
        assert_eq!(
            told,
            [
                expected("child_x_y_fkey", "parent", Some("parent_pkey")),
                expected("child_x_y_fkey1", "parent", None),
                expected("child_x_fkey", "child", None),
            ]
        );
    }
}

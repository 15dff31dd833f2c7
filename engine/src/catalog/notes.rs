//! What the owner of a table says of it beside its columns and their forms: comments, and the tags that policies go by.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use connectors::connector::TableDescription;
use policy::resource::TableName;
use policy::set::PolicySet;
use serde::{Deserialize, Serialize};

use crate::catalog::treatment::FORM_KEY;

/// The key of a field's metadata that has the owner's words about the column, in listings of tables.
pub const COMMENT_KEY: &str = "chancery.comment";
/// The key of a field's metadata that has the tags of the column, likewise.
pub const TAGS_KEY: &str = "chancery.tags";

/// Tags with their values.
pub type Tags = BTreeMap<String, String>;

/// The comments and tags of a table's visible columns, and the tags of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// The tags of the table itself.
    pub tags: Tags,
    /// What is said about columns, by their names.
    pub column_comments: BTreeMap<String, String>,
    /// The tags that columns have of their own, by their names.
    pub column_tags: BTreeMap<String, Tags>,
}

impl Notes {
    /// What is said of a table, of the columns that are told of alone.
    pub fn of(table: &TableDescription) -> Self {
        let told = table.column_comments.iter().filter(|(column, _)| table.schema.index_of(column).is_ok());
        Self {
            column_comments: told.map(|(column, comment)| (column.clone(), comment.clone())).collect(),
            ..Self::default()
        }
    }

    /// The same with the tags that policies know of it.
    pub fn tagged(mut self, set: &PolicySet, name: &TableName, columns: &Schema) -> Self {
        for tagged in set.tagged.iter().filter(|tagged| tagged.table == *name) {
            let tags = match &tagged.column {
                None => &mut self.tags,
                Some(column) if columns.index_of(column).is_ok() => self.column_tags.entry(column.clone()).or_default(),
                Some(_) => continue,
            };
            tags.insert(tagged.tag.clone(), tagged.value.clone());
        }
        self
    }

    /// The columns as metadata lists them: each with what is said of it, beside what else its metadata tells.
    pub fn mark(&self, columns: &SchemaRef) -> SchemaRef {
        let marked = columns.fields().iter().map(|field| {
            let mut metadata = field.metadata().clone();
            let comment = self.column_comments.get(field.name()).cloned();
            let tags = self.column_tags.get(field.name()).and_then(written);
            metadata.extend(comment.map(|comment| (COMMENT_KEY.to_string(), comment)));
            metadata.extend(tags.map(|tags| (TAGS_KEY.to_string(), tags)));
            field.as_ref().clone().with_metadata(metadata)
        });
        Arc::new(Schema::new(marked.collect::<Vec<_>>()))
    }

    /// The tags of the table in words.
    pub fn table_tags(&self) -> Option<String> {
        written(&self.tags)
    }
}

/// `sensitivity = personal, subject = citizens`; nothing of no tag.
fn written(tags: &Tags) -> Option<String> {
    let tags: Vec<String> = tags.iter().map(|(tag, value)| format!("{tag} = {value}")).collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

/// What tools show beside a listed column: what its owner says, its tags, and its form where it is not clear.
pub fn remarks(listed: &Field) -> Option<String> {
    let of = |key: &str| listed.metadata().get(key).cloned();
    let form = of(FORM_KEY).map(|form| format!("seen as {form}"));
    let parts: Vec<String> = [of(COMMENT_KEY), of(TAGS_KEY), form].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn a_column_has_its_comment_its_tags_and_its_form_as_remarks() {
        let tags =
            |tags: &[(&str, &str)]| tags.iter().map(|(tag, value)| (tag.to_string(), value.to_string())).collect();
        let notes = Notes {
            tags: tags(&[("sensitivity", "internal")]),
            column_comments: [("phone".to_string(), "of the household".to_string())].into(),
            column_tags: [("phone".to_string(), tags(&[("sensitivity", "personal"), ("kind", "contact")]))].into(),
        };
        let masked = [(FORM_KEY.to_string(), "show_last(2)".to_string())].into();
        let columns = Schema::new(vec![
            Field::new("phone", DataType::Utf8, true).with_metadata(masked),
            Field::new("region", DataType::Utf8, true),
        ]);
        let marked = notes.mark(&Arc::new(columns));
        let expected = "of the household; kind = contact, sensitivity = personal; seen as show_last(2)";
        assert_eq!(remarks(marked.field(0)).as_deref(), Some(expected));
        assert_eq!(remarks(marked.field(1)), None);
        assert_eq!(notes.table_tags().as_deref(), Some("sensitivity = internal"));
    }
}

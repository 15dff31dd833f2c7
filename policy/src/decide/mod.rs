//! Deciding: (policies, subject, purpose, table, time) → what leaves and in which form, or why nothing does.
//!
//! ```text
//! audience  whom a statement is about, and for which purposes
//! grants    which grants permit the question, and the one that it rests on
//! tags      the tags that the columns of one table have
//! columns   the form of each column, strictest wins       ┐ as written:
//! rows      the rows that are there                       ┘ `settle`
//! ```
//!
//! [`decide`] settles the question on the policies as they were written and then types the outcome by the table's
//! columns and the subject's attributes. Other readers of policy (listings, comparisons) stop after settling, where
//! attributes or types are not known.

pub(crate) mod audience;
pub(crate) mod columns;
pub(crate) mod grants;
pub(crate) mod rows;
pub(crate) mod tags;

use arrow::datatypes::{DataType, Schema};
use datafusion_common::ScalarValue;

use crate::decision::{ColumnDecision, Decision, Denial, GrantedBy, Release, RowFilter, Treatment};
use crate::resource::TableName;
use crate::set::{PolicyRecord, PolicySet};
use crate::statement::AggregateOnly;
use crate::subject::Subject;
use crate::time::Instant;
use crate::value::Value;
use columns::{ColumnForm, Form};
use rows::Rows;

/// What is asked of a set of policies.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub subject: &'a Subject,
    /// For which purpose; without one only grants of mode OPEN count.
    pub purpose: Option<&'a str>,
    /// About which table.
    pub table: &'a TableName,
    /// The table's columns as they are now.
    pub schema: &'a Schema,
    /// When.
    pub now: Instant,
}

/// What leaves of the table, and in which form. Pure and total: the same arguments, the same answer; any doubt denies.
///
/// # Errors
/// Why nothing leaves.
pub fn decide(set: &PolicySet, question: &Question<'_>) -> Result<Decision, Denial> {
    let settled = settle(set, question)?;
    settled.still_fits(set, question)?;
    Ok(Decision {
        table: question.table.clone(),
        purpose: question.purpose.unwrap_or_default().to_owned(),
        row_filter: typed_rows(&settled.rows, question)?,
        columns: settled.typed_columns(question.schema)?,
        release: settled.release(question.schema)?,
        keys: grants::key_leaves(set, question)?,
        grant: settled.grant,
    })
}

/// A decision before types: the policies as written, and what they come to.
#[derive(Debug)]
pub(crate) struct Settled<'a> {
    /// The grant that it rests on.
    pub(crate) grant: GrantedBy,
    /// One for each column of the table, in its order.
    pub(crate) columns: Vec<ColumnForm<'a>>,
    /// Which rows are there.
    pub(crate) rows: Rows<'a>,
}

/// Decides without looking at the types of the columns or the subject's attributes.
pub(crate) fn settle<'a>(set: &'a PolicySet, question: &Question<'a>) -> Result<Settled<'a>, Denial> {
    if set.valid_until.is_some_and(|until| question.now >= until) {
        return Err(Denial::OutOfDate);
    }
    let purposes = audience::purposes_of(set, question)?;
    let tags = tags::Tags::of(set, question.table)?;
    let granted = grants::granted(set, question, &purposes, &tags)?;
    let about = audience::policies_about(set, question.table)?;
    let asker = audience::Asker { subject: question.subject, purposes: &purposes };
    let columns = columns::treat(&about, &asker, &columns::Table { question, tags: &tags, known: &granted.known })?;
    if columns.iter().all(|column| matches!(column.form, Form::Hidden)) {
        return Err(Denial::NoGrant);
    }
    Ok(Settled { grant: granted.by, columns, rows: rows::rows(&about, &asker) })
}

impl Settled<'_> {
    /// Whether every policy about the table, whomever it is for, still finds the columns that it was written for.
    pub(crate) fn still_fits(&self, set: &PolicySet, question: &Question<'_>) -> Result<(), Denial> {
        let table = question.table.to_string();
        for (name, record) in &set.policies {
            if let Some(reason) = misfit(record, &table, question.schema) {
                return Err(Denial::Policy { policy: name.clone(), reason });
            }
        }
        Ok(())
    }

    /// The columns with their forms typed.
    pub(crate) fn typed_columns(&self, schema: &Schema) -> Result<Vec<ColumnDecision>, Denial> {
        let typed = |(column, field): (&ColumnForm<'_>, &arrow::datatypes::FieldRef)| {
            let treatment = treatment(&column.form, field.data_type()).map_err(|reason| Denial::Policy {
                policy: column.policies.join(", "),
                reason: format!("column `{}`: {reason}", column.name),
            })?;
            let policies = column.policies.iter().map(|name| (*name).to_owned()).collect();
            Ok(ColumnDecision { name: column.name.to_owned(), treatment, policies })
        };
        self.columns.iter().zip(schema.fields()).map(typed).collect()
    }

    /// How aggregates are released: all aggregate-only columns agree on it, or they would be hidden.
    pub(crate) fn release(&self, schema: &Schema) -> Result<Option<Release>, Denial> {
        let Some((column, rule)) = self.columns.iter().find_map(|column| Some((column, column.form.aggregate_only()?)))
        else {
            return Ok(None);
        };
        let absent = |name: &&String| schema.field_with_name(name).is_err();
        if let Some(absent) = rule.group_by.iter().chain([&rule.entity]).find(absent) {
            let reason = format!("column `{absent}` is not in the table");
            return Err(Denial::Policy { policy: column.policies.join(", "), reason });
        }
        Ok(Some(release(rule, schema)))
    }
}

/// The release that a rule asks for, its groups in the table's order.
fn release(rule: &AggregateOnly, schema: &Schema) -> Release {
    let names = schema.fields().iter().map(|field| field.name());
    Release {
        min_group: rule.min_group,
        entity: rule.entity.clone(),
        group_by: names.filter(|name| rule.group_by.contains(name)).cloned().collect(),
    }
}

/// Why a policy no longer fits the table that it was written for.
pub(crate) fn misfit(record: &PolicyRecord, table: &str, schema: &Schema) -> Option<String> {
    let used = record.uses.get(table)?;
    used.iter().find_map(|(column, data_type)| match schema.field_with_name(column) {
        Err(_) => Some(format!("column `{column}` is no longer in the table")),
        Ok(field) if field.data_type().to_string() != *data_type => {
            Some(format!("column `{column}` was {data_type} and is {} now", field.data_type()))
        }
        Ok(_) => None,
    })
}

/// A form for a column of this type.
fn treatment(form: &Form<'_>, data_type: &DataType) -> Result<Treatment, String> {
    Ok(match form {
        Form::Clear => Treatment::Clear,
        Form::Hidden => Treatment::Hidden,
        Form::Masked(mask) => {
            mask.check(data_type)?;
            Treatment::Masked((*mask).clone())
        }
        Form::AggregateOnly { low, high, .. } => bounds(low, high, data_type)?,
    })
}

fn bounds(low: &Value, high: &Value, data_type: &DataType) -> Result<Treatment, String> {
    let scalar = |bound: &Value| bound.to_scalar(data_type).ok_or(format!("a bound does not fit {data_type}"));
    let (low, high): (ScalarValue, ScalarValue) = (scalar(low)?, scalar(high)?);
    match low.partial_cmp(&high) {
        Some(order) if order.is_le() => Ok(Treatment::AggregateOnly { low, high }),
        _ => Err("the lower bound is above the upper one".to_owned()),
    }
}

/// The row filters typed by the table's columns and the subject's attributes, ANDed.
fn typed_rows(rows: &Rows<'_>, question: &Question<'_>) -> Result<Option<RowFilter>, Denial> {
    let filters = match rows {
        Rows::All => return Ok(None),
        Rows::None(_) => vec![],
        Rows::Filtered(filters) => filters
            .iter()
            .map(|(policy, predicate)| {
                let bound = predicate.bind(question.schema, question.subject);
                bound.map_err(|reason| Denial::Policy { policy: (*policy).to_owned(), reason })
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Some(rows::combined(rows, filters, question.schema)))
}

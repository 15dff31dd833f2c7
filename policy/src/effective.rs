//! SHOW EFFECTIVE POLICY: what a party sees of a table, by which policies, under which grant.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Schema;

use crate::decide::{Question, settle};
use crate::decision::{ColumnDecision, Denial, Treatment};
use crate::resource::TableName;
use crate::set::PolicySet;
use crate::statement::Party;
use crate::subject::Subject;
use crate::time::Instant;

/// What SHOW EFFECTIVE POLICY asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// For whom: somebody who belongs to this party and to nothing else, and holds every purpose.
    pub party: &'a Party,
    /// For which purpose; without one, for each that is permitted.
    pub purpose: Option<&'a str>,
    /// About which table.
    pub table: &'a TableName,
    /// Its columns as they are now.
    pub schema: &'a Schema,
    /// When.
    pub now: Instant,
}

/// What is seen of one column for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The purpose; empty for none.
    pub purpose: String,
    /// The column.
    pub column: String,
    /// Its form.
    pub form: String,
    /// The policies that gave it this form.
    pub policies: Vec<String>,
    /// For a column of which only aggregates are told: which groups are.
    pub release: Option<String>,
    /// The grant that lets the party see the table.
    pub grant: String,
    /// The grant's end and caps.
    pub limits: String,
    /// Which rows are there: `all`, `none`, or the row filters as written, since attributes are a subject's own.
    pub rows: String,
}

/// What the party sees, one line for each purpose and column.
///
/// # Errors
/// Why it sees nothing, if a purpose was asked for; if none was, when nothing is permitted for any.
pub fn effective(set: &PolicySet, asked: &Asked<'_>) -> Result<Vec<Effective>, Denial> {
    let subject = nameless(set, asked.party);
    if asked.purpose.is_some() {
        return for_purpose(set, asked, &subject, asked.purpose);
    }
    let open = for_purpose(set, asked, &subject, None);
    let purposes = set.purposes.keys().filter_map(|purpose| for_purpose(set, asked, &subject, Some(purpose)).ok());
    let lines: Vec<Effective> = open.iter().flatten().cloned().chain(purposes.flatten()).collect();
    if lines.is_empty() { Err(open.err().unwrap_or(Denial::NoGrant)) } else { Ok(lines) }
}

/// Somebody who belongs to the party and to nothing else.
fn nameless(set: &PolicySet, party: &Party) -> Subject {
    let (mut name, mut organisation, mut roles) = (String::new(), None, BTreeSet::new());
    match party {
        Party::All => {}
        Party::Role(role) => roles.extend([role.clone()]),
        Party::Organisation(of) => organisation = Some(of.clone()),
        Party::User(user) => name.clone_from(user),
    }
    Subject { name, organisation, roles, attributes: BTreeMap::new(), purposes: set.purposes.keys().cloned().collect() }
}

fn for_purpose(
    set: &PolicySet,
    asked: &Asked<'_>,
    subject: &Subject,
    purpose: Option<&str>,
) -> Result<Vec<Effective>, Denial> {
    let question = Question { subject, purpose, table: asked.table, schema: asked.schema, now: asked.now };
    let settled = settle(set, &question)?;
    settled.still_fits(set, &question)?;
    let release = settled.release(asked.schema)?;
    let line = |column: ColumnDecision| Effective {
        purpose: purpose.unwrap_or_default().to_owned(),
        form: column.treatment.to_string(),
        release: match column.treatment {
            Treatment::AggregateOnly { .. } => release.as_ref().map(ToString::to_string),
            Treatment::Clear | Treatment::Masked(_) | Treatment::Hidden => None,
        },
        column: column.name,
        policies: column.policies,
        grant: settled.grant.id.clone(),
        limits: settled.grant.limits(),
        rows: settled.rows.to_string(),
    };
    Ok(settled.typed_columns(asked.schema)?.into_iter().map(line).collect())
}

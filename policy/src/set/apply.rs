//! A change → the next version of a set, with its inverse; or why it cannot take effect, and then nothing changes.
//!
//! Inverses: creating ↔ dropping, granting ↔ revoking with the same id, setting a tag ↔ its value before. Taking a
//! revocation back is a new grant: it covers the columns of now, not those of the first grant, and the answer to the
//! revocation says which ones these are.

use super::{Applied, Catalog, GrantRecord, Made, PolicyRecord, PolicySet, Purpose, Tagged, check};
use crate::error::{PolicyError, Result};
use crate::list::hidden_since;
use crate::resource::TableName;
use crate::statement::{Change, Grant, Mode, Policy};

impl PolicySet {
    /// The set after a change, one version on.
    ///
    /// # Errors
    /// [`PolicyError::NotFound`] for what it names and is not there, [`PolicyError::Refused`] for what cannot take effect.
    pub fn apply(&self, change: &Change, made: &Made, catalog: &dyn Catalog) -> Result<Applied> {
        let mut set = self.clone();
        let Done { change, inverse } = Applying { set: &mut set, made, catalog }.apply(change)?;
        set.version += 1;
        let notes = notes(&change, self, &set, catalog);
        Ok(Applied { set, change, inverse, notes })
    }
}

/// What the author of a change should know.
fn notes(change: &Change, before: &PolicySet, after: &PolicySet, catalog: &dyn Catalog) -> Vec<String> {
    match change {
        Change::Grant(Grant { mode: Mode::Operated, .. }) => {
            vec!["MODE OPERATED is kept and shown; it confers nothing yet".to_owned()]
        }
        Change::RevokeGrant { id } => {
            before.grants.get(id).and_then(|grant| regained(before, grant, catalog)).into_iter().collect()
        }
        Change::CreatePolicy(_) | Change::SetTag { .. } | Change::UnsetTag { .. } => {
            let known = check::meetings(before, catalog);
            check::meetings(after, catalog).into_iter().filter(|meeting| !known.contains(meeting)).collect()
        }
        _ => vec![],
    }
}

/// That taking a revocation back would show more than the grant did.
fn regained(set: &PolicySet, grant: &GrantRecord, catalog: &dyn Catalog) -> Option<String> {
    let later = hidden_since(set, grant, catalog);
    (!later.is_empty()).then(|| {
        format!(
            "columns that came after this grant are hidden under it, and would not be after the inverse, which is a new \
             grant: {}",
            later.join(", ")
        )
    })
}

/// A change as it took effect.
pub(super) struct Done {
    pub(super) change: Change,
    pub(super) inverse: Change,
}

/// A set that changes. Each step checks first, then changes: a refused one leaves the set as it was.
pub(super) struct Applying<'a> {
    pub(super) set: &'a mut PolicySet,
    pub(super) made: &'a Made,
    pub(super) catalog: &'a dyn Catalog,
}

impl Applying<'_> {
    pub(super) fn apply(&mut self, change: &Change) -> Result<Done> {
        let inverse = match change {
            Change::CreateTag { name, values } => self.create_tag(name, values)?,
            Change::DropTag { name } => self.drop_tag(name)?,
            Change::SetTag { table, column, tag, value } => {
                let tagged =
                    Tagged { table: table.clone(), column: column.clone(), tag: tag.clone(), value: value.clone() };
                self.set_tag(tagged)?
            }
            Change::UnsetTag { table, column, tag } => self.unset_tag(table, column.as_deref(), tag)?,
            Change::CreatePurpose { name, under, comment } => {
                let purpose = Purpose { under: under.clone(), comment: comment.clone() };
                self.create_purpose(name, purpose)?
            }
            Change::DropPurpose { name } => self.drop_purpose(name)?,
            Change::Grant(grant) => return self.grant(grant.clone()),
            Change::RevokeGrant { id } => self.revoke(id)?,
            Change::CreatePolicy(policy) => self.create_policy(policy)?,
            Change::DropPolicy { name } => self.drop_policy(name)?,
            Change::AcceptColumn { table, column } => self.accept(table, column)?,
            Change::WithdrawColumn { table, column } => self.withdraw(table, column)?,
            Change::ValidUntil(until) => Change::ValidUntil(std::mem::replace(&mut self.set.valid_until, *until)),
        };
        Ok(Done { change: change.clone(), inverse })
    }

    fn create_tag(&mut self, name: &str, values: &[String]) -> Result<Change> {
        if self.set.tags.contains_key(name) {
            return Err(taken("tag", name));
        }
        self.set.tags.insert(name.to_owned(), values.to_vec());
        Ok(Change::DropTag { name: name.to_owned() })
    }

    fn drop_tag(&mut self, name: &str) -> Result<Change> {
        if let Some(tagged) = self.set.tagged.iter().find(|tagged| tagged.tag == name) {
            return Err(refused(format!("the tag `{name}` is on {tagged}; UNSET TAG it there first")));
        }
        let matching = |policy: &Policy| check::tag_of(policy).is_some_and(|(tag, _)| tag == name);
        if let Some(record) = self.set.policies.values().find(|record| matching(&record.policy)) {
            return Err(refused(format!(
                "the policy `{}` matches by the tag `{name}`; drop it first",
                record.policy.name
            )));
        }
        let values = self.set.tags.remove(name).ok_or_else(|| missing("tag", name))?;
        Ok(Change::CreateTag { name: name.to_owned(), values })
    }

    fn set_tag(&mut self, tagged: Tagged) -> Result<Change> {
        check::tagging(self.set, &tagged, self.catalog)?;
        let mut next = self.set.clone();
        let before = remove_tag(&mut next, &tagged.table, tagged.column.as_deref(), &tagged.tag);
        let at = next.tagged.partition_point(|other| *other < tagged);
        next.tagged.insert(at, tagged.clone());
        check::retag(&mut next, &tagged.table, self.catalog)?;
        *self.set = next;
        let Tagged { table, column, tag, .. } = tagged;
        Ok(match before {
            Some(Tagged { value, .. }) => Change::SetTag { table, column, tag, value },
            None => Change::UnsetTag { table, column, tag },
        })
    }

    fn unset_tag(&mut self, table: &TableName, column: Option<&str>, tag: &str) -> Result<Change> {
        let mut next = self.set.clone();
        let Some(Tagged { value, .. }) = remove_tag(&mut next, table, column, tag) else {
            let column = column.map_or(String::new(), |column| format!(".{column}"));
            return Err(PolicyError::NotFound(format!("`{table}{column}` has no tag `{tag}` of its own")));
        };
        check::retag(&mut next, table, self.catalog)?;
        *self.set = next;
        Ok(Change::SetTag { table: table.clone(), column: column.map(str::to_owned), tag: tag.to_owned(), value })
    }

    fn create_purpose(&mut self, name: &str, purpose: Purpose) -> Result<Change> {
        if self.set.purposes.contains_key(name) {
            return Err(taken("purpose", name));
        }
        // A parent is there before its parts, so purposes never form a cycle.
        purpose.under.iter().try_for_each(|under| check::purpose(self.set, under))?;
        self.set.purposes.insert(name.to_owned(), purpose);
        Ok(Change::DropPurpose { name: name.to_owned() })
    }

    fn drop_purpose(&mut self, name: &str) -> Result<Change> {
        let used = |what: &str, by: &str| Err(refused(format!("the purpose `{name}` is used by the {what} `{by}`")));
        if let Some((part, _)) = self.set.purposes.iter().find(|(_, other)| other.under.as_deref() == Some(name)) {
            return used("purpose", part);
        }
        if let Some((id, _)) = self.set.grants.iter().find(|(_, record)| record.grant.purpose.as_deref() == Some(name))
        {
            return used("grant", id);
        }
        let about = |policy: &Policy| policy.audience.purposes.iter().any(|purpose| purpose == name);
        if let Some((policy, _)) = self.set.policies.iter().find(|(_, record)| about(&record.policy)) {
            return used("policy", policy);
        }
        let Purpose { under, comment } = self.set.purposes.remove(name).ok_or_else(|| missing("purpose", name))?;
        Ok(Change::CreatePurpose { name: name.to_owned(), under, comment })
    }

    fn grant(&mut self, mut grant: Grant) -> Result<Done> {
        let columns = check::grant(self.set, &grant, self.catalog)?;
        let id = match grant.id.take() {
            Some(id) if self.set.grants.contains_key(&id) => return Err(taken("grant", &id)),
            Some(id) => id,
            None => next_id(self.set),
        };
        self.set.last_grant = self.set.last_grant.max(number_of(&id).unwrap_or(0));
        grant.id = Some(id.clone());
        let change = Change::Grant(grant.clone());
        let record = GrantRecord { grant, at: self.made.at, author: self.made.author.clone(), columns };
        self.set.grants.insert(id.clone(), record);
        Ok(Done { change, inverse: Change::RevokeGrant { id } })
    }

    fn revoke(&mut self, id: &str) -> Result<Change> {
        let record = self.set.grants.remove(id).ok_or_else(|| missing("grant", id))?;
        Ok(Change::Grant(record.grant))
    }

    fn create_policy(&mut self, policy: &Policy) -> Result<Change> {
        if self.set.policies.contains_key(&policy.name) {
            return Err(taken("policy", &policy.name));
        }
        let uses = check::policy(self.set, policy, self.catalog)?;
        check::refuse_conflicts(self.set, policy)?;
        let (author, at) = (self.made.author.clone(), self.made.at);
        self.set.policies.insert(policy.name.clone(), PolicyRecord { policy: policy.clone(), at, author, uses });
        Ok(Change::DropPolicy { name: policy.name.clone() })
    }

    fn drop_policy(&mut self, name: &str) -> Result<Change> {
        let record = self.set.policies.remove(name).ok_or_else(|| missing("policy", name))?;
        Ok(Change::CreatePolicy(record.policy))
    }

    fn accept(&mut self, table: &TableName, column: &str) -> Result<Change> {
        check::column(table, column, self.catalog)?;
        if !self.set.accepted.insert((table.clone(), column.to_owned())) {
            return Err(refused(format!("the column `{table}.{column}` is accepted already")));
        }
        Ok(Change::WithdrawColumn { table: table.clone(), column: column.to_owned() })
    }

    fn withdraw(&mut self, table: &TableName, column: &str) -> Result<Change> {
        if !self.set.accepted.remove(&(table.clone(), column.to_owned())) {
            return Err(PolicyError::NotFound(format!("the column `{table}.{column}` was not accepted")));
        }
        Ok(Change::AcceptColumn { table: table.clone(), column: column.to_owned() })
    }
}

fn remove_tag(set: &mut PolicySet, table: &TableName, column: Option<&str>, tag: &str) -> Option<Tagged> {
    let same = |other: &Tagged| other.table == *table && other.column.as_deref() == column && other.tag == tag;
    set.tagged.iter().position(same).map(|at| set.tagged.remove(at))
}

/// The next id of the site's own; authors may have taken some.
fn next_id(set: &PolicySet) -> String {
    format!("g-{:04}", set.last_grant.saturating_add(1))
}

/// The number in `g-0017`.
fn number_of(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("g-")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn taken(what: &str, name: &str) -> PolicyError {
    refused(format!("there is a {what} `{name}` already"))
}

fn missing(what: &str, name: &str) -> PolicyError {
    PolicyError::NotFound(format!("there is no {what} `{name}`"))
}

fn refused(message: String) -> PolicyError {
    PolicyError::Refused(message)
}

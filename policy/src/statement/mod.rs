//! Policy statements as written: one language for the file under review and for the live statement.

mod change;
mod cursor;
mod filter;
mod grant;
pub(crate) mod moment;
mod parse;
mod policy;
mod print;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::mask::ColumnMask;
use crate::predicate::Predicate;
use crate::resource::{Resource, TableName};
use crate::time::Instant;
use crate::value::Value;

pub use filter::{IN_LIST_MAX, PREDICATE_DEPTH_MAX, PREDICATE_OPERATORS_MAX};
pub use parse::{Fault, Located, TEXT_BYTES_MAX, can_be_read, is_policy_statement, parse_all};
pub(crate) use parse::{each, site_named};
pub use policy::GENERALISATION_PAIRS_MAX;

/// A policy statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Statement {
    /// Changes what is in force; durable, versioned, has an inverse.
    Change(Change),
    /// Tells what is in force.
    Show(Show),
}

/// A statement that changes what is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// `CREATE TAG name VALUES ('a', 'b')`.
    CreateTag {
        /// The tag's name.
        name: String,
        /// The values that it may have.
        values: Vec<String>,
    },
    /// `DROP TAG name`; refused while a column has it or a policy names it.
    DropTag {
        /// The tag's name.
        name: String,
    },
    /// `ALTER TABLE t [ALTER COLUMN c] SET TAG name = 'value'`.
    SetTag {
        /// The table.
        table: TableName,
        /// The column; without one the tag is the table's, and so every column's that has no own value of it.
        column: Option<String>,
        /// The tag's name.
        tag: String,
        /// One of its values.
        value: String,
    },
    /// `ALTER TABLE t [ALTER COLUMN c] UNSET TAG name`.
    UnsetTag {
        /// The table.
        table: TableName,
        /// The column, if it is a column's tag.
        column: Option<String>,
        /// The tag's name.
        tag: String,
    },
    /// `CREATE PURPOSE name [UNDER parent] [COMMENT '…']`.
    CreatePurpose {
        /// The purpose's name.
        name: String,
        /// The purpose that it is a part of; a grant for the parent is one for it too.
        under: Option<String>,
        /// What it is.
        comment: Option<String>,
    },
    /// `DROP PURPOSE name`; refused while it is used.
    DropPurpose {
        /// The purpose's name.
        name: String,
    },
    /// `GRANT SELECT|JOIN …`.
    Grant(Grant),
    /// `REVOKE GRANT 'id'`.
    RevokeGrant {
        /// The grant's id.
        id: String,
    },
    /// `CREATE POLICY name ON SCHEMA s|TABLE t rule TO … [EXCEPT …] [FOR PURPOSE …]`.
    CreatePolicy(Policy),
    /// `DROP POLICY name`.
    DropPolicy {
        /// The policy's name.
        name: String,
    },
    /// `ALTER TABLE t ACCEPT COLUMN c`: a column that came after a grant is covered by it.
    AcceptColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// `ALTER TABLE t WITHDRAW COLUMN c`: takes an ACCEPT COLUMN back.
    WithdrawColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// `VALID UNTIL '2027-01-01'`: nobody sees anything by this set of policies from the first moment of that day (UTC) on.
    /// `VALID ALWAYS` takes it back.
    ValidUntil(Option<Instant>),
}

/// A grant: who may use what, for which purpose, until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// `WITH (id = 'g-0017')`, or given by the site when it is written (`g-0001`, `g-0002`, …).
    pub id: Option<String>,
    /// What it permits.
    pub right: Right,
    /// `FOR PURPOSE p`.
    pub purpose: Option<String>,
    /// `MODE …`; shared when left out.
    pub mode: Mode,
    /// `VALID FROM`: it permits nothing before.
    pub from: Option<Instant>,
    /// `TO`: it permits nothing from then on. `TO '2026-12-31'` includes that day and is kept as its end, midnight UTC; a
    /// timestamp is kept as it is.
    pub to: Option<Instant>,
    /// `LIMIT ROWS n … PER DAY`, per subject.
    pub rows_per_day: Option<u64>,
    /// `LIMIT BYTES n PER DAY`, per subject.
    pub bytes_per_day: Option<u64>,
    /// `WITH (key = 'value', …)` beside `id`: references to decisions and agreements, kept and shown.
    pub references: Vec<(String, String)>,
}

impl Grant {
    /// Whether it limits what leaves on one day.
    pub fn is_capped(&self) -> bool {
        self.rows_per_day.is_some() || self.bytes_per_day.is_some()
    }

    /// What may be queried by it and by whom; `None` of a grant that confers nothing yet.
    pub(crate) fn select(&self) -> Option<(&Resource, &[Party])> {
        match &self.right {
            Right::Select { resource, to } if self.mode != Mode::Operated => Some((resource, to)),
            Right::Select { .. } | Right::Join { .. } => None,
        }
    }
}

/// What a grant permits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Right {
    /// `GRANT SELECT ON resource TO …`: querying, under the policies.
    Select {
        /// What may be queried.
        resource: Resource,
        /// By whom.
        to: Vec<Party>,
    },
    /// `GRANT JOIN ON TABLE t (columns) WITH SITE s MIN SET n`: sending sets of these keys to a site.
    Join {
        /// The table.
        table: TableName,
        /// The key columns.
        columns: Vec<String>,
        /// The site that they may go to.
        site: String,
        /// The least number of keys in a set.
        min_set: u64,
    },
}

/// The form of use that a grant is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// `SHARED`: between departments.
    #[default]
    Shared,
    /// `OPEN`: to everyone.
    Open,
    /// `OPERATED`: by an authorised operator. Kept and shown; confers nothing yet.
    Operated,
}

/// A party of an audience or grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Party {
    /// `ALL`: everyone.
    All,
    /// `ROLE name`.
    Role(String),
    /// `ORGANISATION name`.
    Organisation(String),
    /// `USER name`.
    User(String),
}

/// `TO … [EXCEPT …] [FOR PURPOSE …]`: whom a policy is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audience {
    /// Any of these.
    pub to: Vec<Party>,
    /// And none of these.
    pub except: Vec<Party>,
    /// For these purposes or parts of them; for any when empty.
    pub purposes: Vec<String>,
}

/// A policy: in which form whom a resource is shown to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name, unique at the site.
    pub name: String,
    /// What it is about.
    pub resource: Resource,
    /// What it does.
    pub rule: Rule,
    /// Whom it is about.
    pub audience: Audience,
}

impl Policy {
    /// Whether it needs the site's secret.
    pub fn makes_pseudonyms(&self) -> bool {
        matches!(self.rule, Rule::Mask(ColumnMask::Pseudonym(_), _))
    }
}

/// What a policy does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// `COLUMN MASK mask COLUMNS (…) | MATCH COLUMNS has_tag('tag', 'value')`.
    Mask(ColumnMask, Columns),
    /// `ROW FILTER (predicate)`.
    RowFilter(Predicate),
    /// `AGGREGATE ONLY (…) COLUMNS (…)`.
    AggregateOnly(AggregateOnly, Columns),
}

/// Which columns a policy is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Columns {
    /// `COLUMNS (a, b)`.
    Named(Vec<String>),
    /// `MATCH COLUMNS has_tag('tag', 'value')`: any value when only the tag is given.
    Tagged {
        /// The tag's name.
        tag: String,
        /// The value, if only one.
        value: Option<String>,
    },
}

/// `AGGREGATE ONLY (MIN GROUP k ENTITY column BOUNDS column low TO high … GROUP BY (columns))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregateOnly {
    /// The least number of different entities in a group that is told.
    pub min_group: u64,
    /// The column that tells one entity (a person, an aircraft) from another.
    pub entity: String,
    /// Per column the bounds that its values are clamped to.
    pub bounds: Vec<(String, Value, Value)>,
    /// The columns that may be grouped by.
    pub group_by: Vec<String>,
}

/// A statement that tells what is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Show {
    /// `SHOW POLICIES`.
    Policies,
    /// `SHOW GRANTS`.
    Grants,
    /// `SHOW TAGS`.
    Tags,
    /// `SHOW PURPOSES`.
    Purposes,
    /// `SHOW POLICY HISTORY`: every change with version, author, time and inverse.
    History,
    /// `SHOW EFFECTIVE POLICY ON t FOR ROLE r [PURPOSE p]`.
    Effective {
        /// The table.
        table: TableName,
        /// Whom for: a role, a user, an organisation.
        party: Party,
        /// For which purpose.
        purpose: Option<String>,
    },
}

impl Statement {
    /// The table or schema that the statement is about, where it names one.
    pub fn resource(&self) -> Option<Resource> {
        match self {
            Self::Change(change) => change.resource(),
            Self::Show(Show::Effective { table, .. }) => Some(Resource::Table(table.clone())),
            Self::Show(Show::Policies | Show::Grants | Show::Tags | Show::Purposes | Show::History) => None,
        }
    }
}

impl Change {
    fn resource(&self) -> Option<Resource> {
        match self {
            Self::Grant(Grant { right: Right::Select { resource, .. }, .. }) => Some(resource.clone()),
            Self::CreatePolicy(policy) => Some(policy.resource.clone()),
            Self::Grant(Grant { right: Right::Join { table, .. }, .. })
            | Self::SetTag { table, .. }
            | Self::UnsetTag { table, .. }
            | Self::AcceptColumn { table, .. }
            | Self::WithdrawColumn { table, .. } => Some(Resource::Table(table.clone())),
            Self::CreateTag { .. }
            | Self::DropTag { .. }
            | Self::CreatePurpose { .. }
            | Self::DropPurpose { .. }
            | Self::RevokeGrant { .. }
            | Self::DropPolicy { .. }
            | Self::ValidUntil(_) => None,
        }
    }
}

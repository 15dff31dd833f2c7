//! Prints statements as canonical SQL, one line each without `;`: what is read back is equal.

use std::fmt::{self, Display, Formatter, Write};

use super::filter::WORDS;
use super::moment::{written, written_end};
use super::{AggregateOnly, Audience, Change, Columns, Grant, Mode, Party, Policy, Right, Rule, Show, Statement};
use crate::mask::{ColumnMask, Generalisation};
use crate::predicate::{Comparison, List, Operand, Predicate};
use crate::resource::{Resource, TableName};
use crate::value::{Decimal, Value};

/// A name, in double quotes where it would not be read back as it is.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let simple = self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && self.0.bytes().all(plain);
        if simple && !WORDS.iter().any(|word| self.0.eq_ignore_ascii_case(word)) {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A text in single quotes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

/// `source.table`.
struct Table<'a>(&'a TableName);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", Name(&self.0.source), Name(&self.0.table))
    }
}

/// `SCHEMA source` or `TABLE source.table`.
struct On<'a>(&'a Resource);

impl Display for On<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Resource::Schema(source) => write!(f, "SCHEMA {}", Name(source)),
            Resource::Table(table) => write!(f, "TABLE {}", Table(table)),
        }
    }
}

/// `a, b, c`.
fn commas<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn names(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    f.write_char('(')?;
    commas(f, names.iter().map(|name| Name(name)))?;
    f.write_char(')')
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Change(change) => change.fmt(f),
            Statement::Show(show) => show.fmt(f),
        }
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateTag { name, values } => {
                write!(f, "CREATE TAG {} VALUES (", Name(name))?;
                commas(f, values.iter().map(|value| Text(value)))?;
                f.write_char(')')
            }
            Change::DropTag { name } => write!(f, "DROP TAG {}", Name(name)),
            Change::SetTag { table, column, tag, value } => {
                alter(f, table, column.as_deref())?;
                write!(f, "SET TAG {} = {}", Name(tag), Text(value))
            }
            Change::UnsetTag { table, column, tag } => {
                alter(f, table, column.as_deref())?;
                write!(f, "UNSET TAG {}", Name(tag))
            }
            Change::CreatePurpose { name, under, comment } => {
                write!(f, "CREATE PURPOSE {}", Name(name))?;
                under.iter().try_for_each(|under| write!(f, " UNDER {}", Name(under)))?;
                comment.iter().try_for_each(|comment| write!(f, " COMMENT {}", Text(comment)))
            }
            Change::DropPurpose { name } => write!(f, "DROP PURPOSE {}", Name(name)),
            Change::Grant(grant) => grant.fmt(f),
            Change::RevokeGrant { id } => write!(f, "REVOKE GRANT {}", Text(id)),
            Change::CreatePolicy(policy) => policy.fmt(f),
            Change::DropPolicy { name } => write!(f, "DROP POLICY {}", Name(name)),
            Change::AcceptColumn { table, column } => {
                write!(f, "ALTER TABLE {} ACCEPT COLUMN {}", Table(table), Name(column))
            }
            Change::WithdrawColumn { table, column } => {
                write!(f, "ALTER TABLE {} WITHDRAW COLUMN {}", Table(table), Name(column))
            }
            Change::ValidUntil(Some(moment)) => write!(f, "VALID UNTIL '{}'", written(*moment)),
            Change::ValidUntil(None) => f.write_str("VALID ALWAYS"),
        }
    }
}

fn alter(f: &mut Formatter<'_>, table: &TableName, column: Option<&str>) -> fmt::Result {
    write!(f, "ALTER TABLE {} ", Table(table))?;
    column.iter().try_for_each(|column| write!(f, "ALTER COLUMN {} ", Name(column)))
}

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.right {
            Right::Select { resource, to } => {
                write!(f, "GRANT SELECT ON {} TO ", On(resource))?;
                commas(f, to)?;
            }
            Right::Join { table, columns, site, .. } => {
                write!(f, "GRANT JOIN ON TABLE {} ", Table(table))?;
                names(f, columns)?;
                write!(f, " WITH SITE {}", Name(site))?;
            }
        }
        self.purpose.iter().try_for_each(|purpose| write!(f, " FOR PURPOSE {}", Name(purpose)))?;
        if let Right::Join { min_set, .. } = &self.right {
            write!(f, " MIN SET {min_set}")?;
        }
        if self.mode != Mode::Shared {
            write!(f, " MODE {}", self.mode)?;
        }
        self.validity(f)?;
        self.limits(f)?;
        self.references(f)
    }
}

impl Grant {
    fn validity(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.from.is_some() || self.to.is_some() {
            f.write_str(" VALID")?;
        }
        self.from.iter().try_for_each(|from| write!(f, " FROM '{}'", written(*from)))?;
        self.to.iter().try_for_each(|to| write!(f, " TO '{}'", written_end(*to)))
    }

    fn limits(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.rows_per_day.is_none() && self.bytes_per_day.is_none() {
            return Ok(());
        }
        f.write_str(" LIMIT")?;
        self.rows_per_day.iter().try_for_each(|rows| write!(f, " ROWS {rows}"))?;
        self.bytes_per_day.iter().try_for_each(|bytes| write!(f, " BYTES {bytes}"))?;
        f.write_str(" PER DAY")
    }

    fn references(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.id.is_none() && self.references.is_empty() {
            return Ok(());
        }
        let id = self.id.iter().map(|id| ("id", id));
        let pairs = id.chain(self.references.iter().map(|(key, text)| (key.as_str(), text)));
        f.write_str(" WITH (")?;
        commas(f, pairs.map(|(key, text)| format!("{} = {}", Name(key), Text(text))))?;
        f.write_char(')')
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Shared => "SHARED",
            Mode::Open => "OPEN",
            Mode::Operated => "OPERATED",
        })
    }
}

impl Display for Party {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Party::All => f.write_str("ALL"),
            Party::Role(name) => write!(f, "ROLE {}", Name(name)),
            Party::Organisation(name) => write!(f, "ORGANISATION {}", Name(name)),
            Party::User(name) => write!(f, "USER {}", Name(name)),
        }
    }
}

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE POLICY {} ON {} {} {}", Name(&self.name), On(&self.resource), self.rule, self.audience)
    }
}

impl Display for Audience {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("TO ")?;
        commas(f, &self.to)?;
        if !self.except.is_empty() {
            f.write_str(" EXCEPT ")?;
            commas(f, &self.except)?;
        }
        if !self.purposes.is_empty() {
            f.write_str(" FOR PURPOSE ")?;
            commas(f, self.purposes.iter().map(|purpose| Name(purpose)))?;
        }
        Ok(())
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Mask(mask, columns) => write!(f, "COLUMN MASK {mask} {columns}"),
            Rule::RowFilter(predicate) => write!(f, "ROW FILTER ({predicate})"),
            Rule::AggregateOnly(aggregate, columns) => write!(f, "AGGREGATE ONLY ({aggregate}) {columns}"),
        }
    }
}

impl Display for Columns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Columns::Named(columns) => {
                f.write_str("COLUMNS ")?;
                names(f, columns)
            }
            Columns::Tagged { tag, value } => {
                write!(f, "MATCH COLUMNS has_tag({}", Text(tag))?;
                value.iter().try_for_each(|value| write!(f, ", {}", Text(value)))?;
                f.write_char(')')
            }
        }
    }
}

impl Display for AggregateOnly {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "MIN GROUP {} ENTITY {} BOUNDS ", self.min_group, Name(&self.entity))?;
        commas(f, self.bounds.iter().map(|(column, low, high)| format!("{} {low} TO {high}", Name(column))))?;
        if self.group_by.is_empty() {
            return Ok(());
        }
        f.write_str(" GROUP BY ")?;
        names(f, &self.group_by)
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Show::Policies => f.write_str("SHOW POLICIES"),
            Show::Grants => f.write_str("SHOW GRANTS"),
            Show::Tags => f.write_str("SHOW TAGS"),
            Show::Purposes => f.write_str("SHOW PURPOSES"),
            Show::History => f.write_str("SHOW POLICY HISTORY"),
            Show::Effective { table, party, purpose } => {
                write!(f, "SHOW EFFECTIVE POLICY ON {} FOR {party}", Table(table))?;
                purpose.iter().try_for_each(|purpose| write!(f, " PURPOSE {}", Name(purpose)))
            }
        }
    }
}

impl Display for ColumnMask {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ColumnMask::Hide => f.write_str("hide"),
            ColumnMask::ReplaceWithNull => f.write_str("replace_with_null"),
            ColumnMask::Fixed(value) => write!(f, "fixed({value})"),
            ColumnMask::MaskAlphanum => f.write_str("mask_alphanum"),
            ColumnMask::ShowFirst(count) => write!(f, "show_first({count})"),
            ColumnMask::ShowLast(count) => write!(f, "show_last({count})"),
            ColumnMask::TruncateToYear => f.write_str("truncate_to_year"),
            ColumnMask::TruncateToMonth => f.write_str("truncate_to_month"),
            ColumnMask::Bucket(width) => write!(f, "bucket({width})"),
            ColumnMask::Generalise(mapping) => write!(f, "generalise({mapping})"),
            ColumnMask::Pseudonym(domain) => write!(f, "pseudonym({})", Text(domain)),
        }
    }
}

impl Display for Generalisation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        commas(f, self.pairs.iter().map(|(from, to)| format!("{from} => {to}")))?;
        self.otherwise.iter().try_for_each(|other| write!(f, ", ELSE {other}"))
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(true) => f.write_str("TRUE"),
            Value::Boolean(false) => f.write_str("FALSE"),
            Value::Integer(number) => number.fmt(f),
            Value::Decimal(number) => number.fmt(f),
            Value::Text(text) => Text(text).fmt(f),
        }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Column(name) => Name(name).fmt(f),
            Operand::Value(value) => value.fmt(f),
            Operand::Attribute(name) => write!(f, "attribute({})", Text(name)),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl Display for List {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            List::Values(values) => {
                f.write_char('(')?;
                commas(f, values)?;
                f.write_char(')')
            }
            List::Attribute(name) => write!(f, "attribute({})", Text(name)),
        }
    }
}

impl Display for Predicate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Predicate::Compare { left, comparison, right } => write!(f, "{left} {comparison} {right}"),
            Predicate::In { operand, list, negated } => write!(f, "{operand} {}IN {list}", not(negated)),
            Predicate::IsNull { operand, negated } => write!(f, "{operand} IS {}NULL", not(negated)),
            Predicate::And(parts) => joined(f, parts, " AND "),
            Predicate::Or(parts) => joined(f, parts, " OR "),
            Predicate::Not(inner) => {
                f.write_str("NOT ")?;
                part(f, inner)
            }
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Predicate], operator: &str) -> fmt::Result {
    for (at, inner) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(operator)?;
        }
        part(f, inner)?;
    }
    Ok(())
}

/// A part of a larger filter, in parentheses where AND and OR mix, so that nobody needs to know which binds first.
fn part(f: &mut Formatter<'_>, part: &Predicate) -> fmt::Result {
    match part {
        Predicate::And(_) | Predicate::Or(_) => write!(f, "({part})"),
        _ => part.fmt(f),
    }
}

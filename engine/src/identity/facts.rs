//! What is known of a user beside the name: the same facts, under the same limits, in a users file, a token and a
//! coordinator's word.

use std::collections::{BTreeMap, BTreeSet};

use policy::subject::{Attribute, Subject};
use policy::value::Value;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Extent;

/// The longest name of an attribute.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 64;
/// The longest text: of an attribute, a role, a purpose, an organisation.
pub const TEXT_BYTES_MAX: usize = 1 << 10;
/// The longest list of an attribute.
pub const LIST_LENGTH_MAX: usize = 10_000;
/// All facts of one user together.
pub const FACTS_BYTES_MAX: usize = 64 << 10;

/// What is known of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The organisation that the user acts for.
    #[serde(default)]
    pub organisation: Option<String>,
    /// The roles that policies speak of.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// The purposes that the user may choose from.
    #[serde(default)]
    pub purposes: BTreeSet<String>,
    /// The purpose of whoever chooses none; one of `purposes`.
    #[serde(default)]
    pub default_purpose: Option<String>,
    /// Values that row filters compare with.
    #[serde(default, deserialize_with = "read_attributes")]
    pub attributes: BTreeMap<String, Attribute>,
}

/// A user as a coordinator tells a site of one; written as a [`Subject`], read with nothing else in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    /// The name.
    pub name: String,
    #[serde(default)]
    organisation: Option<String>,
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    purposes: BTreeSet<String>,
    #[serde(default, deserialize_with = "read_attributes")]
    attributes: BTreeMap<String, Attribute>,
}

impl From<Claimed> for Facts {
    fn from(claimed: Claimed) -> Self {
        let Claimed { organisation, roles, purposes, attributes, .. } = claimed;
        Self { organisation, roles, purposes, default_purpose: None, attributes }
    }
}

impl From<BTreeSet<String>> for Facts {
    /// Roles and nothing else.
    fn from(roles: BTreeSet<String>) -> Self {
        Self { roles, ..Self::default() }
    }
}

impl Facts {
    /// Checks every limit; the error names what is too large and repeats no value.
    pub fn check(&self) -> Result<(), String> {
        let mut bytes = 0;
        for (what, text) in self.names() {
            check_name(what, text)?;
            bytes += text.len();
        }
        for (name, attribute) in &self.attributes {
            check_attribute_name(name)?;
            bytes += name.len() + check_attribute(name, attribute)?;
        }
        if bytes > FACTS_BYTES_MAX {
            return Err(format!(
                "roles, purposes and attributes have {bytes} bytes; at most {FACTS_BYTES_MAX} are read"
            ));
        }
        match &self.default_purpose {
            Some(purpose) if !self.purposes.contains(purpose) => {
                Err("`default_purpose` is not one of `purposes`".to_string())
            }
            _ => Ok(()),
        }
    }

    /// Of these facts of a user, those that an issuer is believed about.
    ///
    /// # Errors
    /// A user about whom it is not believed; for the log.
    pub(super) fn within(self, extent: &Extent, user: &str) -> Result<Self, &'static str> {
        if !extent.users.has(user) {
            return Err("the issuer is not believed about this user");
        }
        Ok(Self {
            organisation: self.organisation.filter(|organisation| extent.organisations.has(organisation)),
            roles: extent.roles.believed(self.roles),
            default_purpose: self.default_purpose.filter(|purpose| extent.purposes.has(purpose)),
            purposes: extent.purposes.believed(self.purposes),
            attributes: self.attributes,
        })
    }

    /// The subject of that name with these facts.
    pub fn into_subject(self, name: String) -> Subject {
        let Self { organisation, roles, purposes, attributes, .. } = self;
        Subject { name, organisation, roles, attributes, purposes }
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let organisation = self.organisation.iter().map(|text| ("an organisation", text));
        let roles = self.roles.iter().map(|text| ("a role", text));
        organisation.chain(roles).chain(self.purposes.iter().map(|text| ("a purpose", text)))
    }
}

/// An attribute as it may be written: nothing but these three kinds of values, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenAttribute {
    One(WrittenValue),
    Many(Vec<WrittenValue>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenValue {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

/// Reads attributes for serde.
pub(super) fn read_attributes<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Attribute>, D::Error> {
    let written = BTreeMap::<String, WrittenAttribute>::deserialize(from)?;
    Ok(written.into_iter().map(|(name, attribute)| (name, attribute.into())).collect())
}

impl From<WrittenAttribute> for Attribute {
    fn from(written: WrittenAttribute) -> Self {
        match written {
            WrittenAttribute::One(value) => Attribute::One(value.into()),
            WrittenAttribute::Many(values) => Attribute::Many(values.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<WrittenValue> for Value {
    fn from(written: WrittenValue) -> Self {
        match written {
            WrittenValue::Boolean(value) => Value::Boolean(value),
            WrittenValue::Integer(value) => Value::Integer(value),
            WrittenValue::Text(value) => Value::Text(value),
        }
    }
}

fn check_name(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("{what} has 1 to {TEXT_BYTES_MAX} bytes and no control character"));
    }
    Ok(())
}

fn check_attribute_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let sentence =
            format!("an attribute's name has 1 to {ATTRIBUTE_NAME_BYTES_MAX} bytes and no control character");
        return Err(sentence);
    }
    Ok(())
}

/// The bytes of an attribute's values.
fn check_attribute(name: &str, attribute: &Attribute) -> Result<usize, String> {
    let values = match attribute {
        Attribute::One(value) => std::slice::from_ref(value),
        Attribute::Many(values) => values.as_slice(),
    };
    if values.len() > LIST_LENGTH_MAX {
        return Err(format!("the attribute `{name}` lists more than {LIST_LENGTH_MAX} values"));
    }
    if let Some(first) = values.first()
        && values.iter().any(|value| std::mem::discriminant(value) != std::mem::discriminant(first))
    {
        return Err(format!("the attribute `{name}` lists values of more than one kind"));
    }
    values.iter().map(|value| check_value(name, value)).sum()
}

fn check_value(name: &str, value: &Value) -> Result<usize, String> {
    match value {
        Value::Boolean(_) => Ok(size_of::<bool>()),
        Value::Integer(_) => Ok(size_of::<i64>()),
        Value::Text(text) if text.len() <= TEXT_BYTES_MAX => Ok(text.len()),
        Value::Text(_) => Err(format!("the attribute `{name}` has a text of more than {TEXT_BYTES_MAX} bytes")),
        Value::Decimal(_) => Err(format!("the attribute `{name}` is a text, a whole number, true or false, or a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: serde_json::Value, expected: Result<(), &str>) {
        let told = serde_json::from_value::<Facts>(json.clone()).map_err(|error| error.to_string());
        let told = told.and_then(|facts| facts.check());
        match (&told, expected) {
            (Ok(()), Ok(())) => {}
            (Err(told), Err(expected)) if told.contains(expected) => {}
            _ => panic!("{json:.200}: {told:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn facts_within_the_limits_pass() {
        check(serde_json::json!({}), Ok(()));
        let regions = (0..LIST_LENGTH_MAX).collect::<Vec<_>>();
        check(
            serde_json::json!({"attributes": {"none": [], "level": 3, "x": "x' OR 1=1 --\u{0}%_", "on": true}}),
            Ok(()),
        );
        check(serde_json::json!({"attributes": {"short": regions.iter().take(8_000).collect::<Vec<_>>()}}), Ok(()));
        check(serde_json::json!({"attributes": {"t": "x".repeat(TEXT_BYTES_MAX)}}), Ok(()));
        check(serde_json::json!({"purposes": ["a", "b"], "default_purpose": "b"}), Ok(()));
    }

    #[test]
    fn a_list_of_one_text_is_a_list() {
        let facts: Facts = serde_json::from_value(serde_json::json!({"attributes": {"regions": ["north"]}})).unwrap();
        let north = Value::Text("north".to_string());
        assert_eq!(facts.attributes["regions"], Attribute::Many(vec![north]));
    }

    #[test]
    fn what_is_too_large_or_of_another_kind_is_refused() {
        let too_long = vec![true; LIST_LENGTH_MAX + 1];
        check(serde_json::json!({"attributes": {"regions": too_long}}), Err("`regions` lists more than 10000"));
        check(serde_json::json!({"attributes": {"t": "x".repeat(TEXT_BYTES_MAX + 1)}}), Err("`t` has a text"));
        check(serde_json::json!({"attributes": {"n".repeat(65): 1}}), Err("an attribute's name"));
        check(serde_json::json!({"attributes": {"": 1}}), Err("an attribute's name"));
        check(serde_json::json!({"attributes": {"mixed": [1, "a"]}}), Err("more than one kind"));
        check(serde_json::json!({"attributes": {"f": {"digits": "1.5"}}}), Err("did not match"));
        check(serde_json::json!({"attributes": {"f": 1.5}}), Err("did not match"));
        check(serde_json::json!({"attributes": {"n": null}}), Err("did not match"));
        check(serde_json::json!({"attributes": {"n": [[1]]}}), Err("did not match"));
        check(serde_json::json!({"roles": [""]}), Err("a role"));
        check(serde_json::json!({"purposes": ["a\nb"]}), Err("a purpose"));
        check(serde_json::json!({"purposes": ["a"], "default_purpose": "A"}), Err("not one of `purposes`"));
        let many =
            (0..66).map(|n| (format!("a{n}"), serde_json::json!("x".repeat(1_000)))).collect::<serde_json::Map<_, _>>();
        check(serde_json::json!({"attributes": many}), Err("at most 65536"));
    }
}

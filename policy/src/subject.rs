//! Who asks, as policy sees it: a name, what it belongs to, and the facts that an identity provider vouches for.
//!
//! The engine fills it in from what it has verified; nothing is looked up here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The user's name.
    pub name: String,
    /// The organisation that the user acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The roles that the user has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// Facts that row filters compare with, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// The purposes that the user may choose from.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    // Before `One`: a list of one text would be read as a decimal's one field.
    /// A list, for `IN attribute('…')`.
    Many(Vec<Value>),
    /// One value.
    One(Value),
}

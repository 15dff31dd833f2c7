//! Which claims of an issuer's tokens say what: issuers that serve many have names of their own for roles and attributes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Where a claim stands: its name, or the names of the objects that it stands in and then its own.
pub type ClaimPath = Vec<String>;

/// The claims that can be called otherwise.
pub const NAMED: [&str; 4] = ["organisation", "roles", "purposes", "default_purpose"];

/// How an issuer's claims are read; by default as they are called here, and all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimRules {
    /// `claims`: of what is in [`NAMED`], where it stands. What stands under our own name then means nothing.
    pub names: BTreeMap<&'static str, ClaimPath>,
    /// `attributes`: the attributes, and where each stands; the claim `attributes` then means nothing.
    pub attributes: BTreeMap<String, ClaimPath>,
    /// `role_names`: how the issuer's roles are called here; others keep their names, unless one of these is called so.
    pub role_names: BTreeMap<String, String>,
    /// `required`: claims that must be there with one of these values; a list must hold one of them.
    pub required: BTreeMap<String, Vec<Value>>,
}

impl ClaimRules {
    /// The claims under our names.
    ///
    /// # Errors
    /// For the log, when a required one is not there.
    pub(super) fn read(&self, claims: Value) -> Result<Value, &'static str> {
        let Value::Object(given) = claims else { return Err("the claims are no object") };
        let holds =
            |(name, allowed): (&String, &Vec<Value>)| given.get(name).is_some_and(|value| one_of(value, allowed));
        if !self.required.iter().all(holds) {
            return Err("a claim that the issuer's tokens must have is missing or another");
        }
        let mut told = given.clone();
        for (name, path) in &self.names {
            put(&mut told, name, at(&given, path).cloned());
        }
        if !self.attributes.is_empty() {
            let found =
                self.attributes.iter().filter_map(|(name, path)| Some((name.clone(), at(&given, path)?.clone())));
            put(&mut told, "attributes", Some(Value::Object(found.collect())));
        }
        Ok(Value::Object(told))
    }

    /// Roles as they are called here. A name that we give to one of the issuer's roles is nobody's who has that role not: who may
    /// name groups at the issuer must not get it by calling one so.
    pub(super) fn roles(&self, claimed: BTreeSet<String>) -> BTreeSet<String> {
        let is_given = |role: &String| self.role_names.values().any(|given| given == role);
        let called = |role: String| match self.role_names.get(&role) {
            Some(name) => Some(name.clone()),
            None => Some(role).filter(|role| !is_given(role)),
        };
        claimed.into_iter().filter_map(called).collect()
    }
}

fn put(claims: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => claims.insert(name.to_string(), value),
        None => claims.remove(name),
    };
}

/// What stands there, unless it is null.
fn at<'a>(claims: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let found = rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))?;
    (!found.is_null()).then_some(found)
}

fn one_of(value: &Value, allowed: &[Value]) -> bool {
    match value {
        Value::Array(several) => several.iter().any(|one| allowed.contains(one)),
        one => allowed.contains(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(names: &[&str]) -> ClaimPath {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_are_read_where_they_stand_and_nowhere_else() {
        let rules = ClaimRules {
            names: [("roles", path(&["realm_access", "roles"])), ("organisation", path(&["https://x/org"]))].into(),
            attributes: [("regions".to_string(), path(&["area"])), ("level".to_string(), path(&["a", "b"]))].into(),
            ..ClaimRules::default()
        };
        let claims = json!({
            "sub": "ana", "roles": ["admin"], "attributes": {"level": 9}, "organisation": "ours",
            "realm_access": {"roles": ["analyst"]}, "https://x/org": "theirs", "area": ["north"], "a": {"b": null},
        });
        let told = rules.read(claims).unwrap();
        assert_eq!(told["roles"], json!(["analyst"]));
        assert_eq!(told["organisation"], "theirs");
        assert_eq!(told["attributes"], json!({"regions": ["north"]}));
        let without = rules.read(json!({"roles": ["admin"], "organisation": "ours"})).unwrap();
        assert_eq!(without, json!({"attributes": {}}), "what stands under our own name means nothing");
    }

    #[test]
    fn required_claims_have_one_of_the_values() {
        let required = [("azp".to_string(), vec![json!("shell"), json!("bi")]), ("mfa".to_string(), vec![json!(true)])];
        let rules = ClaimRules { required: required.into(), ..ClaimRules::default() };
        for good in [json!({"azp": "bi", "mfa": true}), json!({"azp": ["x", "shell"], "mfa": [true]})] {
            rules.read(good).unwrap();
        }
        for bad in [
            json!({"azp": "bi"}),
            json!({"azp": "bi", "mfa": "true"}),
            json!({"azp": "BI", "mfa": true}),
            json!({"azp": [], "mfa": true}),
            json!({"azp": {"bi": 1}, "mfa": true}),
            json!(["azp"]),
        ] {
            rules.read(bad.clone()).expect_err(&bad.to_string());
        }
    }

    #[test]
    fn roles_have_our_names() {
        let role_names = [("grp-17".to_string(), "analyst".to_string())].into();
        let rules = ClaimRules { role_names, ..ClaimRules::default() };
        let roles = rules.roles(["grp-17".to_string(), "clerk".to_string()].into());
        assert_eq!(roles, ["analyst".to_string(), "clerk".to_string()].into());
        let roles = rules.roles(["analyst".to_string(), "clerk".to_string()].into());
        assert_eq!(roles, ["clerk".to_string()].into(), "a group that the issuer calls so is not ours");
    }

    #[test]
    fn a_role_may_keep_its_name_beside_others_that_get_it() {
        let named = ["grp-17", "analyst"].map(|role| (role.to_string(), "analyst".to_string()));
        let rules = ClaimRules { role_names: named.into(), ..ClaimRules::default() };
        assert_eq!(rules.roles(["analyst".to_string()].into()), ["analyst".to_string()].into());
    }
}

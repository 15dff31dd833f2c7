//! Who may ask a cluster what: its users, and the policy files of its sites.

use std::collections::{BTreeMap, BTreeSet};

use engine::identity::facts::Facts;
use policy::subject::Attribute;
use policy::value::Value;

use super::USER;
use crate::dataset::{Dataset, quote};
use crate::policy::canary::Canary;

/// The role of those who write policy at the sites of a governed cluster.
pub const ADMINISTRATOR: &str = "admin";
/// The role to which [`Governance::granting_all`] grants.
const GRANTED: &str = "analyst";

/// The policy of a cluster. Without one its sites enforce none.
#[derive(Debug, Clone, Default)]
pub struct Governance {
    /// The users of coordinator and sites; each name is the password.
    pub users: Vec<Person>,
    /// Per site the text of its policy file. A site without one begins with nothing granted.
    pub policies: BTreeMap<String, String>,
    /// Whether the files are loaded by the site (and so read-only at run time), or said by its administrator at its door.
    pub written: Written,
    /// More lines for every site's configuration, such as an `[[issuer]]`.
    pub site_lines: String,
    /// More lines for the coordinator's configuration.
    pub coordinator_lines: String,
    /// What none of the users may be sent, in whatever form: each of the cluster's clients looks for it in all that it reads.
    pub canaries: Vec<Canary>,
}

impl Governance {
    /// Policy is in force at every site of a data set and hides nothing: the one user that a cluster has without policy may
    /// read all of it, for any of these purposes; the first is the default.
    pub fn granting_all(dataset: &Dataset, purposes: &[&str]) -> Self {
        let created: String = purposes.iter().map(|purpose| format!("CREATE PURPOSE {purpose};\n")).collect();
        let mut policies: BTreeMap<String, String> = BTreeMap::new();
        for (site, source) in dataset.sources() {
            let text = policies.entry(site.to_string()).or_insert_with(|| created.clone());
            let schema = quote(source);
            let grant =
                |purpose: &&str| format!("GRANT SELECT ON SCHEMA {schema} TO ROLE {GRANTED} FOR PURPOSE {purpose};\n");
            text.extend(purposes.iter().map(grant));
        }
        let user = purposes.iter().fold(Person::new(USER, GRANTED), |user, purpose| user.holding(purpose));
        Self { users: vec![user], policies, ..Self::default() }
    }
}

/// How policy comes to a site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Written {
    /// As files in a directory that the site loads.
    #[default]
    AsFiles,
    /// As statements of its administrator at its door.
    AtTheDoor,
}

/// A user of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// The name, which is the password.
    pub name: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The organisation.
    pub organisation: Option<String>,
    /// The purposes; the first is the default.
    pub purposes: Vec<String>,
    /// What row filters compare with.
    pub attributes: BTreeMap<String, Attribute>,
}

impl Person {
    /// A user with one role.
    pub fn new(name: &str, role: &str) -> Self {
        Self { name: name.to_string(), roles: vec![role.to_string()], ..Self::default() }
    }

    /// An administrator of every site.
    pub fn administrator() -> Self {
        Self::new("admin", ADMINISTRATOR)
    }

    /// Who holds this purpose too; the first one given is the default.
    #[must_use]
    pub fn holding(mut self, purpose: &str) -> Self {
        self.purposes.push(purpose.to_string());
        self
    }

    /// Who also has this role.
    #[must_use]
    pub fn and(mut self, role: &str) -> Self {
        self.roles.push(role.to_string());
        self
    }

    /// Who has this list as an attribute.
    #[must_use]
    pub fn with(mut self, attribute: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| Value::Text((*value).to_string())).collect();
        self.attributes.insert(attribute.to_string(), Attribute::Many(values));
        self
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            organisation: self.organisation.clone(),
            roles: self.roles.iter().cloned().collect::<BTreeSet<_>>(),
            purposes: self.purposes.iter().cloned().collect(),
            default_purpose: self.purposes.first().cloned(),
            attributes: self.attributes.clone(),
        }
    }
}

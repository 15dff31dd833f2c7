//! Where names that are not written in full are looked for.

use serde::{Deserialize, Serialize};

/// What a session has chosen by `USE`, `SET catalog` or `SET schema`; what it has not is the node's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The catalog of names without one.
    pub catalog: Option<String>,
    /// The schema of names without one.
    pub schema: Option<String>,
}

impl Place {
    /// The catalog and the schema, `own` where none is chosen.
    pub fn or(&self, own: (String, String)) -> (String, String) {
        (self.catalog.clone().unwrap_or(own.0), self.schema.clone().unwrap_or(own.1))
    }
}

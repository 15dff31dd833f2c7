//! How records and explanations name the form of a column, and who asks.

use policy::decision::{Decision, Treatment};

use crate::audit::entry::Asker as RecordedAsker;
use crate::identity::{Asker, Came, Issuer};

/// The form of a column, as records and explanations name it.
pub(in crate::site) fn form(decision: &Decision, column: &str) -> String {
    let decided = decision.columns.iter().find(|decided| decided.name == column);
    match decided.map(|decided| &decided.treatment) {
        Some(Treatment::Clear) => "clear".to_string(),
        Some(Treatment::Masked(mask)) => mask.to_string(),
        Some(Treatment::AggregateOnly { .. }) => "aggregate only".to_string(),
        Some(Treatment::Hidden) | None => "hidden".to_string(),
    }
}

/// Who asks, as records name them. Of a coordinator in its own name it is said only that it came: nobody was believed.
pub(in crate::site) fn recorded(asker: &Asker) -> RecordedAsker {
    RecordedAsker {
        subject: (!asker.is_peer()).then(|| asker.subject.name.clone()),
        organisation: asker.subject.organisation.clone(),
        actor: match &asker.came {
            Came::Through(coordinator) => Some(coordinator.clone()),
            Came::AsPeer => Some(asker.subject.name.clone()),
            Came::Directly => None,
        },
        issuer: match &asker.issuer {
            Issuer::Token { name, .. } => Some(name.clone()),
            Issuer::UsersFile => None,
        },
        purpose: asker.purpose.clone(),
    }
}

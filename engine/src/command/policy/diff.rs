//! `chancery policy diff`: who sees more and who sees less, a line each, for those who review a change.

use std::process::ExitCode;

use policy::diff::{Scope, diff, looked_at_less};
use policy::set::Catalog;

use super::load::{Loaded, SiteNow, load, now};
use super::{DiffArgs, tell};
use crate::error::Result;

/// Runs `chancery policy diff`.
pub(super) async fn run(args: DiffArgs) -> Result<ExitCode> {
    let site = match &args.site {
        Some(config) => Some(SiteNow::open(config).await?),
        None => None,
    };
    let (before, after) = match (load(&args.before, site.as_ref()), load(&args.after, site.as_ref())) {
        (Ok(Loaded { set: before, .. }), Ok(Loaded { set: after, .. })) => (before, after),
        (before, after) => {
            tell(before.err().into_iter().chain(after.err()).flatten());
            return Ok(ExitCode::FAILURE);
        }
    };
    let catalog = site.as_ref().map(|site| &site.tables as &dyn Catalog);
    let scope = Scope { catalog, now: now() };
    let differences = diff(&before, &after, &scope);
    let none = differences.is_empty().then(|| "nobody sees more or less".to_string());
    tell(differences.iter().map(ToString::to_string).chain(none));
    tell(looked_at_less(&before, &after, &scope).iter().map(|table| {
        format!("note: statements about {table} name very many parties; who belongs to three of them was not looked at")
    }));
    Ok(ExitCode::SUCCESS)
}

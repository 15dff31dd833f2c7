//! `chancery policy diff`: who sees more and who sees less, a line each, for those who review a change.

use std::process::ExitCode;

use policy::diff::{Scope, diff};
use policy::set::Catalog;

use super::load::{SiteNow, load, now};
use super::{DiffArgs, tell};
use crate::error::Result;

/// Runs `chancery policy diff`.
pub(super) async fn run(args: DiffArgs) -> Result<ExitCode> {
    let site = match &args.site {
        Some(config) => Some(SiteNow::open(config).await?),
        None => None,
    };
    let (before, after) = match (load(&args.before, site.as_ref()), load(&args.after, site.as_ref())) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            tell(before.err().into_iter().chain(after.err()).flatten());
            return Ok(ExitCode::FAILURE);
        }
    };
    let catalog = site.as_ref().map(|site| &site.tables as &dyn Catalog);
    let differences = diff(&before, &after, &Scope { catalog, now: now() });
    let none = differences.is_empty().then(|| "nobody sees more or less".to_string());
    tell(differences.iter().map(ToString::to_string).chain(none));
    Ok(ExitCode::SUCCESS)
}

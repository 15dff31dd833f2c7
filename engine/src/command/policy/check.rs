//! `chancery policy check`: one line for each fault; warnings where treatments meet.

use std::process::ExitCode;

use policy::meeting::meetings;
use policy::set::PolicySet;

use super::load::{Loaded, SiteNow, load};
use super::{CheckArgs, tell};
use crate::error::Result;
use crate::site::policies::NO_SECRET;

/// Runs `chancery policy check`.
pub(super) async fn run(args: CheckArgs) -> Result<ExitCode> {
    let site = match &args.site {
        Some(config) => Some(SiteNow::open(config).await?),
        None => None,
    };
    let Loaded { set, tables } = match load(&args.directory, site.as_ref()) {
        Ok(loaded) => loaded,
        Err(faults) => {
            tell(faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    tell(meetings(&set, tables.as_ref()).iter().map(|meeting| format!("warning: {meeting}")));
    let checked = match &site {
        Some(site) => {
            tell(without_secret(&set, site));
            format!("checked against the tables of site {}", site.name.as_deref().unwrap_or_default())
        }
        None => "whether tables, columns and types are there and fit needs --site site.toml".to_string(),
    };
    tell([format!(
        "{}: ok ({} grants, {} policies; {checked})",
        args.directory.display(),
        set.grants.len(),
        set.policies.len()
    )]);
    Ok(ExitCode::SUCCESS)
}

/// The policies that make pseudonyms where the site cannot make any.
fn without_secret(set: &PolicySet, site: &SiteNow) -> Vec<String> {
    let policies = set.policies.values().map(|record| &record.policy);
    let cannot = policies.filter(|policy| policy.makes_pseudonyms() && !site.makes_pseudonyms);
    cannot.map(|policy| format!("warning: policy `{}`: {NO_SECRET}", policy.name)).collect()
}

//! `chancery policy check`: one line for each fault; warnings where treatments meet.

use std::process::ExitCode;

use policy::meeting::meetings;

use super::load::{SiteNow, load};
use super::{CheckArgs, tell};
use crate::error::Result;

/// Runs `chancery policy check`.
pub(super) async fn run(args: CheckArgs) -> Result<ExitCode> {
    let site = match &args.site {
        Some(config) => Some(SiteNow::open(config).await?),
        None => None,
    };
    let set = match load(&args.directory, site.as_ref()) {
        Ok(set) => set,
        Err(faults) => {
            tell(faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let checked = match &site {
        Some(site) => {
            tell(meetings(&set, &site.tables).iter().map(|meeting| format!("warning: {meeting}")));
            format!("checked against the tables of site {}", site.name)
        }
        None => {
            "only the language is checked: whether tables, columns and types fit needs --site site.toml".to_string()
        }
    };
    tell([format!(
        "{}: ok ({} grants, {} policies; {checked})",
        args.directory.display(),
        set.grants.len(),
        set.policies.len()
    )]);
    Ok(ExitCode::SUCCESS)
}

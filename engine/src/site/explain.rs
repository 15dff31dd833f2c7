//! EXPLAIN and EXPLAIN POLICY at a site: how a statement would be answered, and what would leave. Neither reads a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use policy::barrier::{Governed, PolicyBarrier};
use policy::lineage::{Lineage, lineage};

use super::evidence::form;
use super::statement::Bound;
use super::views::{is_visible, published};
use super::{Site, for_administrators};
use crate::error::{Code, EngineError, Result};
use crate::flight::door::Description;
use crate::identity::users_file::UsersFile;
use crate::identity::{Asker, Came};
use crate::plan::push_to_sources::push_to_sources;
use crate::session::declared::lines;
use crate::session::told::{POLICY_COLUMNS, Told, texts};

/// How much of a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of it: to the site's administrators.
    Whole,
    /// What the asker wrote, down to the barriers.
    AboveBarriers,
}

/// The optimized plan, and for each governed table what applied to it; where no policy is enforced, with what sources
/// evaluate, and why not more.
///
/// # Errors
/// As planning fails, or a source that is to be asked cannot be.
pub(super) async fn plan(site: &str, bound: &Bound, sight: Sight) -> Result<SendableRecordBatchStream> {
    let optimized = bound.state.optimize(&bound.plan)?;
    let (shown, unsent) = match bound.ruling {
        Some(_) => (optimized, Vec::new()),
        None => {
            let pushed = push_to_sources(&bound.state, optimized).await?;
            (pushed.plan, pushed.unsent)
        }
    };
    let mut text = String::new();
    write_plan(&mut text, &shown, sight, 0);
    let mut rows = vec![(format!("site {site}"), text.trim_end().to_string())];
    rows.extend(applied(site, bound));
    rows.extend(unsent.iter().map(|unsent| ("not sent to a source".to_string(), unsent.to_string())));
    lines(rows)
}

/// By table: one that is named twice is told once.
fn applied(site: &str, bound: &Bound) -> BTreeMap<String, String> {
    let line = |governed: &Arc<Governed>| {
        let decision = &governed.decision;
        let visible = decision.columns.iter().filter(|column| is_visible(column)).map(|column| column.name.as_str());
        (format!("policy of {site}.{}", governed.table), published(decision).summary(visible))
    };
    bound.governed.iter().map(line).collect()
}

fn write_plan(text: &mut String, plan: &LogicalPlan, sight: Sight, depth: usize) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:indent$}{}", "", plan.display(), indent = depth * 2);
    match PolicyBarrier::of(plan) {
        Some(barrier) if sight == Sight::Whole => write_plan(text, barrier.inside(), sight, depth + 1),
        Some(_) => {}
        None => plan.inputs().into_iter().for_each(|input| write_plan(text, input, sight, depth + 1)),
    }
}

/// The columns of EXPLAIN POLICY.
pub(super) fn policy_description() -> Description {
    Description::told(&POLICY_COLUMNS)
}

/// What would leave the site, in which form, by which policy.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub(super) fn policy(site: &str, bound: &Bound) -> Result<SendableRecordBatchStream> {
    let lineage = lineage(&bound.plan)?;
    let mut told = BTreeSet::new();
    let mut rows = Vec::new();
    for governed in &bound.governed {
        if told.insert(governed.table.clone()) {
            rows.extend(table_rows(site, governed, &lineage));
        }
    }
    texts(&POLICY_COLUMNS, rows)
}

fn table_rows(site: &str, governed: &Arc<Governed>, lineage: &Lineage) -> Vec<Told> {
    let (decision, used) = (&governed.decision, lineage.of(&governed.table));
    let table = format!("{site}.{}", governed.table);
    let row = |column: Option<&str>, form: String, policies: &[String], leaves: &str| -> Told {
        vec![
            Some(table.clone()),
            column.map(ToString::to_string),
            Some(form),
            Some(policies.join(", ")),
            Some(leaves.to_string()),
            Some(decision.grant.id.clone()),
        ]
    };
    let mut rows = vec![match &decision.row_filter {
        None => row(None, "all rows".to_string(), &[], "as used"),
        Some(filter) => row(None, "filtered rows".to_string(), &filter.policies, "as used"),
    }];
    let leaves = |column: &str| match (used.selected.contains(column), used.used.contains(column)) {
        (true, _) => Some("yes"),
        (false, true) => Some("only used"),
        (false, false) => None,
    };
    rows.extend(decision.columns.iter().filter_map(|column| {
        let leaves = leaves(&column.name)?;
        Some(row(Some(&column.name), form(decision, &column.name), &column.policies, leaves))
    }));
    rows
}

impl Site {
    /// Somebody else, for an administrator who wants to know what they would see. Users of this site's file only.
    ///
    /// # Errors
    /// `STATEMENT` to others than administrators, `NOT_FOUND` for a user that this site does not know.
    pub(super) fn simulated(&self, asker: &Asker, name: &str, purpose: Option<String>) -> Result<Asker> {
        if !self.is_administrator(asker) {
            return Err(for_administrators("EXPLAIN POLICY AS USER"));
        }
        let unknown = || {
            let sentence = format!(
                "the users file of this site has no user `{name}`; of users of a token or of a coordinator's file nothing is \
                 known before they ask: see SHOW EFFECTIVE POLICY ON source.table FOR ROLE role"
            );
            EngineError::new(Code::NotFound, sentence)
        };
        let users = UsersFile::read(self.users.as_deref().ok_or_else(unknown)?)?;
        let believed = users.find(name).ok_or_else(unknown)?.believed();
        believed.asking(purpose, Came::Directly)
    }
}

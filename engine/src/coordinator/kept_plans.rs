//! Plans of statements that were asked before, each for as long as what it was made from stands.
//!
//! A plan is found again by the same viewer (subject, purpose, issuer), with the same text and the same place of short names,
//! while the views of all its sites are those that it was made from. A changed policy or table makes another view, at the
//! latest when the site says that the plan's versions have moved on. What leaves is decided at the site, each time.
//!
//! **Invariant:** nothing is kept that hangs on anything else: no values for placeholders, no clock, no table of the
//! coordinator's own, no state of an execution.

use std::sync::{Arc, Weak};

use datafusion::logical_expr::LogicalPlan;

use super::{Asked, Bound, Core, Run, Wanted};
use crate::catalog::site_table::SiteId;
use crate::catalog::snapshot::{KnownView, Viewer};
use crate::error::{EngineError, Result};
use crate::flight::door::{Description, Question};
use crate::identity::Asker;
use crate::plan::pipeline::Planned;
use crate::plan::sites::{Location, Sites};
use crate::sabotage::{Control, thrown};
use crate::session::counted::Account;
use crate::session::declared::declared_schema;
use crate::session::kept::{Key, STATEMENT_BYTES_MAX, is_fixed};
use crate::session::queries::QueryRecord;

/// The views that a plan was made from.
pub(super) type Views = Vec<(SiteId, Weak<KnownView>)>;

/// A statement, planned as far as no execution is needed for it.
#[derive(Debug)]
pub(super) struct KeptPlan {
    views: Views,
    pub(super) description: Description,
    planned: Way,
}

/// How far.
#[derive(Debug)]
enum Way {
    /// To its end: one site answers it.
    Whole(Arc<Planned>),
    /// As DataFusion's rules leave it: what follows holds rows while it runs.
    Optimized {
        /// The bound plan.
        logical: Box<LogicalPlan>,
        /// What the rules make of it.
        optimized: Box<LogicalPlan>,
    },
}

/// What is kept of a question, whether or not it stands.
struct Found {
    viewer: Viewer,
    key: Key,
    kept: Arc<KeptPlan>,
}

fn key(viewer: &Viewer, question: &Question) -> Result<Key> {
    let asked = serde_json::to_vec(&(&question.place, &question.sql)).map_err(EngineError::internal)?;
    Ok(blake3::Hasher::new().update(viewer.as_bytes()).update(&asked).finalize())
}

impl Core {
    /// The plan of a question that was asked before, if it still stands.
    pub(super) async fn kept(&self, asker: &Arc<Asker>, question: &Question) -> Result<Option<Arc<KeptPlan>>> {
        let Some(Found { viewer, key, kept }) = self.found(asker, question)? else { return Ok(None) };
        if self.snapshots.stand(asker, &viewer, &kept.views).await {
            return Ok(Some(kept));
        }
        self.plans.forget(&key);
        Ok(None)
    }

    /// The same, where it is known at once that it stands: no site is asked, and nothing read that may be long.
    pub(super) fn kept_now(&self, asker: &Arc<Asker>, question: &Question) -> Result<Option<Arc<KeptPlan>>> {
        let found = self.found(asker, question)?;
        let standing = found.filter(|Found { viewer, kept, .. }| self.snapshots.stand_now(viewer, &kept.views));
        Ok(standing.map(|found| found.kept))
    }

    fn found(&self, asker: &Arc<Asker>, question: &Question) -> Result<Option<Found>> {
        if question.parameters.is_some() || question.sql.len() > STATEMENT_BYTES_MAX {
            return Ok(None);
        }
        let viewer = Viewer::of(asker)?;
        let key = key(&viewer, question)?;
        Ok(self.plans.get(&key).map(|kept| Found { viewer, key, kept }))
    }

    /// Keeps the plan of a query for when it is asked again; `None` for one that is planned anew each time.
    pub(super) async fn keep(&self, asker: &Arc<Asker>, asked: &Asked, bound: &Bound) -> Result<Option<Arc<KeptPlan>>> {
        let Asked { wanted, question, .. } = asked;
        let Bound { state, plan: logical, views } = bound;
        let is_alone = *wanted == Wanted::Rows && question.parameters.is_none() && !thrown(Control::Disclosure);
        let Some(views) = views.as_ref().filter(|_| is_alone) else { return Ok(None) };
        if question.sql.len() > STATEMENT_BYTES_MAX || !is_fixed(logical)? {
            return Ok(None);
        }
        let optimized = state.optimize(logical)?;
        let description = Description::of(&declared_schema(logical, &optimized));
        let whole = match Sites::default().locate(&optimized)? {
            Location::At(_) => match self.planned(state, logical.clone(), Some(optimized.clone())).await {
                Ok(planned) => Some(planned),
                // What cannot be planned is told to whoever has it run.
                Err(_) => return Ok(None),
            },
            _ => None,
        };
        let planned = match whole.filter(Planned::is_whole) {
            Some(planned) => Way::Whole(Arc::new(planned)),
            None => Way::Optimized { logical: Box::new(logical.clone()), optimized: Box::new(optimized) },
        };
        let kept = Arc::new(KeptPlan { views: views.clone(), description, planned });
        self.plans.keep(key(&Viewer::of(asker)?, question)?, Arc::clone(&kept));
        Ok(Some(kept))
    }

    /// A kept plan, to be run for that query.
    pub(super) async fn run_of(&self, record: &Arc<QueryRecord>, kept: &KeptPlan) -> Result<Run> {
        match &kept.planned {
            Way::Whole(planned) => Ok(self.run_of_whole(record, kept, planned)),
            Way::Optimized { logical, optimized } => {
                let mut state = self.base.clone();
                state.mark_start_execution();
                Account::begin(&mut state, &record.memory, &self.limits);
                self.finish(record, state, logical.as_ref().clone(), Some(optimized.as_ref().clone())).await
            }
        }
    }

    /// The same, of a plan that leaves nothing to do here but to pass on what its site answers.
    pub(super) fn run_of_passing_on(&self, record: &Arc<QueryRecord>, kept: &KeptPlan) -> Option<Run> {
        match &kept.planned {
            Way::Whole(planned) => Some(self.run_of_whole(record, kept, planned)),
            Way::Optimized { .. } => None,
        }
    }

    fn run_of_whole(&self, record: &Arc<QueryRecord>, kept: &KeptPlan, planned: &Arc<Planned>) -> Run {
        let context = self.context(&self.base, record);
        let declared = Arc::clone(&kept.description.schema);
        Run { context, declared, planned: Arc::clone(planned), policies: Vec::new() }
    }
}

//! Plans of statements that were asked before, each for as long as its tables and what is decided about them are the same.
//!
//! Each time everything is found and decided anew: the asker is admitted for the purpose, every table is looked up and decided
//! about by the policies of now, and versions are compared. Only what follows from these alone is not done twice: reading,
//! binding and optimizing the same words. Operators are planned, proven against the barriers and recorded each time.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::connector::Table;
use datafusion::common::ResolvedTableReference;
use datafusion::common::stats::Precision;
use datafusion::logical_expr::LogicalPlan;
use policy::barrier::Governed;
use policy::decision::Decision;
use policy::pseudonym::PseudonymKeys;

use super::Site;
use super::names::SiteNames;
use super::ruling::Ruling;
use super::statement::{Bound, check_keys, session_of};
use crate::catalog::snapshot::Viewer;
use crate::error::{EngineError, Result};
use crate::flight::door::Question;
use crate::identity::Asker;
use crate::session::kept::{Key, STATEMENT_BYTES_MAX, is_fixed};

/// A table that a plan was made from.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) name: ResolvedTableReference,
    pub(super) table: Table,
    /// What was decided about it; nothing where policy is switched off.
    pub(super) decision: Option<Decision>,
}

impl Use {
    /// How many rows the table has, where that is known and tells nothing of hidden ones.
    pub(super) fn told_rows(&self) -> Option<usize> {
        let hides_rows = self.decision.as_ref().is_some_and(|decision| decision.row_filter.is_some());
        match self.table.description.statistics.num_rows {
            Precision::Exact(rows) if !hides_rows => Some(rows),
            _ => None,
        }
    }

    fn is_still(&self, table: &Table, decision: Option<&Decision>) -> bool {
        Arc::ptr_eq(&self.table.provider, &table.provider)
            && self.table.description.version == table.description.version
            && self.decision.as_ref() == decision
    }
}

/// A statement, planned as far as DataFusion's rules over logical plans go.
#[derive(Debug)]
pub(super) struct KeptPlan {
    uses: Vec<Use>,
    keys: Option<Arc<PseudonymKeys>>,
    governed: Vec<Arc<Governed>>,
    plan: LogicalPlan,
    /// Under release control, and optimized.
    pub(super) optimized: LogicalPlan,
    pub(super) declared: SchemaRef,
}

/// The key of a question that may be asked again in the same words; `None` for one that brings values of its own, or is long.
fn key(asker: &Asker, question: &Question) -> Result<Option<Key>> {
    let is_short = question.sql.len() <= STATEMENT_BYTES_MAX;
    if question.parameters.is_some() || !question.key_sets.is_empty() || !is_short {
        return Ok(None);
    }
    let asked = (question.fragment > 0, &question.place, &question.sql);
    let asked = serde_json::to_vec(&asked).map_err(EngineError::internal)?;
    let viewer = Viewer::of(asker)?;
    Ok(Some(blake3::Hasher::new().update(viewer.as_bytes()).update(&asked).finalize()))
}

impl Site {
    /// The question bound as it was before, if all that it was made from is the same.
    ///
    /// # Errors
    /// What binding it would say of its tables.
    pub(super) async fn kept(&self, asker: &Asker, question: &Question) -> Result<Option<Bound>> {
        let Some(key) = key(asker, question)? else { return Ok(None) };
        let Some(kept) = self.kept.get(&key) else { return Ok(None) };
        let ruling = self.ruling();
        let names = SiteNames::new(self, asker, question, ruling.as_ref());
        let mut stands = same_keys(kept.keys.as_ref(), ruling.as_ref());
        for used in &kept.uses {
            let (table, decision) = names.resolve(&used.name).await?;
            stands &= used.is_still(&table, decision.as_ref());
            if !stands {
                break;
            }
        }
        if !stands {
            self.kept.forget(&key);
            return Ok(None);
        }
        if ruling.is_some() {
            check_keys(&question.keys_to, &kept.governed)?;
        }
        let mut state = self.base.clone();
        session_of(&mut state, Some(&kept.uses));
        Ok(Some(Bound {
            state,
            plan: kept.plan.clone(),
            governed: kept.governed.clone(),
            scans: Default::default(),
            told: Vec::new(),
            ruling,
            uses: None,
            kept: Some(kept),
        }))
    }

    /// Keeps what the rules made of a bound question.
    pub(super) fn keep(
        &self,
        (asker, question): (&Asker, &Question),
        bound: &mut Bound,
        (optimized, declared): (&LogicalPlan, &SchemaRef),
    ) -> Result<()> {
        let (Some(key), Some(uses)) = (key(asker, question)?, bound.uses.take()) else { return Ok(()) };
        if is_fixed(&bound.plan)? {
            let kept = KeptPlan {
                uses,
                keys: bound.ruling.as_ref().and_then(|ruling| ruling.keys.clone()),
                governed: bound.governed.clone(),
                plan: bound.plan.clone(),
                optimized: optimized.clone(),
                declared: Arc::clone(declared),
            };
            self.kept.keep(key, Arc::new(kept));
        }
        Ok(())
    }
}

/// Whether pseudonyms are made with the same keys.
fn same_keys(then: Option<&Arc<PseudonymKeys>>, ruling: Option<&Ruling>) -> bool {
    match (then, ruling.and_then(|ruling| ruling.keys.as_ref())) {
        (Some(then), Some(now)) => Arc::ptr_eq(then, now),
        (None, None) => true,
        _ => false,
    }
}

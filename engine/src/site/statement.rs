//! A question made ready to run, in the order of the contract: admit, bind, decide, check, plan. Or refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::ReadScope;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::sql::parser::Statement as ParsedStatement;
use policy::barrier::{BarrierId, Governed};
use policy::statement::Statement as PolicyStatement;

use super::evidence::{self, Basis, Evidence, Leaves};
use super::kept_plans::{KeptPlan, Use};
use super::names::SiteNames;
use super::ruling::Ruling;
use super::{Site, explain, for_administrators, policy_statements};
use crate::catalog::binder::bind;
use crate::error::{Code, EngineError, Result};
use crate::flight::door::Question;
use crate::identity::Asker;
use crate::key_set::KeysTo;
use crate::plan::aggregate_only;
use crate::plan::at_site::{plan_at_site, plan_without_policy};
use crate::plan::expansion::{check_expansion, check_literals};
use crate::plan::verify_barriers::RegisteredBarriers;
use crate::sabotage::{Control, thrown};
use crate::session::complexity::Budget;
use crate::session::counted::Account;
use crate::session::declared::{analyze, declare, declared_schema};
use crate::session::functions::check_functions;
use crate::session::memory::task_context;
use crate::session::queries::QueryRecord;
use crate::session::standard_sql;
use crate::session::statement::{ExplainedFor, Statement, parse};

/// One batch of a scan, as tables are written.
const FEW_ROWS: usize = 64 * 1024;

/// What a statement asks for, its names bound and decided.
pub(super) enum Asked {
    /// Rows.
    Rows(Bound),
    /// How rows would be made.
    Explain(Bound),
    /// What would leave, in which form, by which policy.
    ExplainPolicy(Bound),
    /// What is in force, or a change of it.
    Policy(PolicyStatement),
}

/// A query's plan over the tables as its asker sees them.
pub(super) struct Bound {
    pub(super) state: SessionState,
    /// Analyzed: every name and type resolved, nothing optimized.
    pub(super) plan: LogicalPlan,
    /// The decisions, one for each mention of a governed table.
    pub(super) governed: Vec<Arc<Governed>>,
    /// The untreated tables, by barrier.
    pub(super) scans: BTreeMap<BarrierId, LogicalPlan>,
    /// The system tables that it reads.
    pub(super) told: Vec<String>,
    pub(super) ruling: Option<Ruling>,
    /// The tables that the plan was made from; `None` where it was made from anything else.
    pub(super) uses: Option<Vec<Use>>,
    /// What the rules have made of it before.
    pub(super) kept: Option<Arc<KeptPlan>>,
}

/// Whether a denial tells its reason: only to an administrator who asks what another would be told.
#[derive(Debug, Clone, Copy)]
enum Reasons {
    Told,
    Kept,
}

/// What can be run at once.
pub(super) enum Ready {
    Rows(Box<Planned>),
    /// Told of a plan over tables, of which no row is read.
    Explained(SendableRecordBatchStream, Box<Bound>),
    /// Told of the policy.
    Shown(SendableRecordBatchStream),
    /// A change of policy, not made yet.
    Change(Box<PolicyStatement>),
}

/// A query planned to its end and verified.
pub(super) struct Planned {
    bound: Bound,
    declared: SchemaRef,
    physical: Arc<dyn ExecutionPlan>,
}

impl Site {
    /// Admits, binds, decides and checks.
    ///
    /// # Errors
    /// As the statement deserves.
    pub(super) async fn ask(&self, asker: &Asker, question: &Question) -> Result<Asked> {
        if asker.is_peer() {
            let sentence = "a coordinator asks for somebody: its call carries no delegation";
            return Err(EngineError::new(Code::Unauthenticated, sentence));
        }
        if let Some(bound) = self.kept(asker, question).await? {
            return Ok(Asked::Rows(bound));
        }
        let budget = match question.fragment {
            0 => Budget::of(&self.limits),
            _ => Budget::of_fragment(&self.limits),
        };
        match parse(&question.sql, &budget)? {
            Statement::Query(query) => Ok(Asked::Rows(self.bind(asker, question, query, Reasons::Kept).await?)),
            Statement::Explain(query) => Ok(Asked::Explain(self.bind(asker, question, query, Reasons::Kept).await?)),
            Statement::ExplainAnalyze(_) => Err(EngineError::new(
                Code::Unsupported,
                "EXPLAIN ANALYZE is answered by a coordinator, which sees the borders; at a site use EXPLAIN",
            )),
            Statement::ExplainPolicy { who: ExplainedFor::Asker, query } => {
                Ok(Asked::ExplainPolicy(self.bind(asker, question, query, Reasons::Kept).await?))
            }
            Statement::ExplainPolicy { who: ExplainedFor::User { name, purpose }, query } => {
                let other = self.simulated(asker, &name, purpose)?;
                Ok(Asked::ExplainPolicy(self.bind(&other, question, query, Reasons::Told).await?))
            }
            Statement::Policy(text) => {
                self.policies()?;
                if !self.is_administrator(asker) {
                    return Err(for_administrators("a policy statement"));
                }
                policy_statements::parse(&text, &self.name).map(Asked::Policy)
            }
        }
    }

    async fn bind(
        &self,
        asker: &Asker,
        question: &Question,
        query: ParsedStatement,
        reasons: Reasons,
    ) -> Result<Bound> {
        let ruling = self.ruling();
        let names = SiteNames::new(self, asker, question, ruling.as_ref());
        let (mut state, query) = bind(&self.base, &names, &query).await.map_err(|error| match reasons {
            Reasons::Told => names.with_denials(error),
            Reasons::Kept => error,
        })?;
        session_of(&mut state, names.uses.lock().as_deref());
        let in_statement = |error| EngineError::in_statement(error, &question.sql);
        let plan = standard_sql::plan(&state, query).await.map_err(in_statement)?;
        let plan = analyze(&state, plan, question.parameters.as_ref())?;
        check_expansion(&plan, &self.limits)?;
        let named = names.governed.into_inner();
        let scans = named.iter().map(|(governed, scan)| (governed.id, scan.clone())).collect();
        let governed: Vec<_> = named.into_iter().map(|(governed, _)| governed).collect();
        if !governed.is_empty() {
            if !thrown(Control::Functions) {
                check_functions(&plan)?;
            }
            aggregate_only::check(&plan)?;
        }
        if ruling.is_some() {
            check_keys(&question.keys_to, &governed)?;
        }
        let (told, uses) = (names.told.into_inner(), names.uses.into_inner());
        Ok(Bound { state, plan, governed, scans, told, ruling, uses, kept: None })
    }

    /// What is decided by, from now on.
    pub(super) fn ruling(&self) -> Option<Ruling> {
        let control = self.control.as_ref()?;
        let current = control.policies.current();
        Some(Ruling {
            set: Arc::clone(&current.set),
            unreadable: current.unreadable.is_some(),
            now: control.policies.now(),
            keys: control.policies.keys(),
            version_key: control.version_key,
        })
    }

    /// Everything that can be refused is refused here, before anything is recorded as an intent. But for a change of policy:
    /// whether it can be made is known when it is made.
    ///
    /// # Errors
    /// As the statement deserves.
    pub(super) async fn ready(&self, record: &QueryRecord, question: &Question) -> Result<Ready> {
        let asker = &record.asker;
        match self.ask(asker, question).await? {
            Asked::Rows(bound) => Ok(Ready::Rows(Box::new(self.planned(record, question, bound).await?))),
            Asked::Explain(bound) => {
                let sight = if self.is_administrator(asker) || self.control.is_none() {
                    explain::Sight::Whole
                } else {
                    explain::Sight::AboveBarriers
                };
                Ok(Ready::Explained(explain::plan(&self.name, &bound, sight).await?, Box::new(bound)))
            }
            Asked::ExplainPolicy(bound) => Ok(Ready::Explained(explain::policy(&self.name, &bound)?, Box::new(bound))),
            Asked::Policy(change @ PolicyStatement::Change(_)) => Ok(Ready::Change(Box::new(change))),
            Asked::Policy(show @ PolicyStatement::Show(_)) => {
                Ok(Ready::Shown(self.run_policy_statement(record, &show).await?))
            }
        }
    }

    /// Records the intent, and only then lets rows be made, or told. A change has a record of its own, and no intent: once
    /// begun it is made or refused, whoever waits.
    ///
    /// # Errors
    /// `AUDIT` when the intent cannot be recorded; those of a change.
    pub(super) async fn run(
        &self,
        record: Arc<QueryRecord>,
        question: &Question,
        ready: Ready,
    ) -> Result<SendableRecordBatchStream> {
        let intent = |control, leaves: Leaves<'_>| evidence::intent(control, &record, question, &leaves);
        let Planned { bound, declared, physical } = match (ready, &self.control) {
            (Ready::Rows(planned), _) => *planned,
            (Ready::Explained(rows, bound), Some(control)) => {
                let intent = intent(control, Leaves::Explanation(&bound))?;
                return Evidence::record(control, &record, intent, Basis::default()).await.map(|()| rows);
            }
            (Ready::Shown(rows), Some(control)) => {
                let intent = intent(control, Leaves::Policy)?;
                return Evidence::record(control, &record, intent, Basis::default()).await.map(|()| rows);
            }
            (Ready::Change(change), _) => {
                record.begin_change()?;
                let rows = self.run_policy_statement(&record, &change).await?;
                record.has_changed();
                return Ok(rows);
            }
            (Ready::Explained(rows, _) | Ready::Shown(rows), None) => return Ok(rows),
        };
        let (state, limit) = (&bound.state, self.limits.subject_memory_bytes);
        let context = task_context(state, state.config().clone(), &record.memory, limit);
        let batches = match &self.control {
            None => execute_stream(physical, context)?,
            Some(control) => {
                let (intent, basis) = (intent(control, Leaves::Rows(&bound))?, Basis::of(&bound, &question.keys_to));
                Evidence::record(control, &record, intent, basis).await?;
                execute_stream(physical, context)?
            }
        };
        Ok(declare(declared, batches))
    }
}

impl Site {
    async fn planned(&self, record: &QueryRecord, question: &Question, mut bound: Bound) -> Result<Planned> {
        let (optimized, declared) = match &bound.kept {
            Some(kept) => (kept.optimized.clone(), Arc::clone(&kept.declared)),
            None => {
                let (optimized, declared) = optimized(&bound)?;
                check_literals(&optimized, &self.limits)?;
                self.keep((&record.asker, question), &mut bound, (&optimized, &declared))?;
                (optimized, declared)
            }
        };
        Account::begin(&mut bound.state, &record.memory, &self.limits);
        let barriers = RegisteredBarriers::new(bound.governed.iter().cloned());
        let physical = if bound.ruling.is_some() {
            plan_at_site(&bound.state, optimized, &barriers).await?
        } else {
            plan_without_policy(&bound.state, optimized).await?
        };
        Ok(Planned { declared, physical, bound })
    }
}

/// The plan under release control, optimized, and the columns that the statement declares.
fn optimized(bound: &Bound) -> Result<(LogicalPlan, SchemaRef)> {
    let Bound { state, plan, .. } = bound;
    let optimized = state.optimize(plan)?;
    let declared = declared_schema(plan, &optimized);
    let released = aggregate_only::release(plan.clone(), &bound.scans, bound.ruling.as_ref().and_then(Ruling::keys))?;
    let optimized = if released.transformed { state.optimize(&released.data)? } else { optimized };
    Ok((optimized, declared))
}

/// Makes a session that of one execution over these tables, if all are known: its clock, and what it reads of one server at
/// one moment. Few rows of one table are read by one thread, which has no other one to wait for; where rows are hidden, their
/// number is.
pub(super) fn session_of(state: &mut SessionState, uses: Option<&[Use]>) {
    if let Some([used]) = uses
        && used.told_rows().is_some_and(|rows| rows <= FEW_ROWS)
    {
        state.config_mut().options_mut().execution.target_partitions = 1;
    }
    state.mark_start_execution();
    state.config_mut().set_extension(Arc::new(ReadScope::default()));
}

/// Values go on to another site by a `GRANT JOIN` only, whatever the coordinator thinks: by one of the column that they are
/// of, and by one of each other table, by which they are chosen.
pub(super) fn check_keys(keys: &[KeysTo], governed: &[Arc<Governed>]) -> Result<()> {
    let has_leave = |keys: &KeysTo| {
        let mut decisions = governed.iter().map(|governed| &governed.decision);
        decisions.any(|decision| {
            decision.table.to_string() == keys.table && decision.keys_min(&keys.column, &keys.site).is_some()
        })
    };
    let refused = |what: String, site: &str| {
        let sentence = format!("no GRANT JOIN lets keys of `{what}` go to site {site} for this purpose");
        Err(EngineError::new(Code::Disclosure, sentence))
    };
    for keys in keys {
        if !has_leave(keys) {
            return refused(format!("{}.{}", keys.table, keys.column), &keys.site);
        }
        if let Some(other) = governed.iter().find(|governed| !governed.decision.lets_keys_go_to(&keys.site)) {
            return refused(other.decision.table.to_string(), &keys.site);
        }
    }
    Ok(())
}

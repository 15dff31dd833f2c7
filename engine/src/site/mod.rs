//! A site: its sources behind one door. Names are bound, decided and enforced here, whoever sent the statement.
//!
//! ```text
//! names              the tables that an asker may use, each under its barrier
//!   └─ ruling        by what it is decided: the policies of one version, one moment
//! statement          admit → bind → decide → check → plan: a question made ready to run, or refused
//!   └─ kept_plans    the same for a question that was asked before
//! evidence           the record of it: intent before, completion after; and the right by which it runs
//! refusals           the record of what was not let in
//! views              what an asker is told of the tables: for listings and for coordinators
//! explain            EXPLAIN and EXPLAIN POLICY
//! policy_statements  what administrators write and read
//! policies/          where policy lives
//! ```
//!
//! **Invariant:** where policy is enforced, no row of a source is read but below a barrier that the plan was verified to
//! have, and no row leaves before a record of the intent is on the disk.

mod evidence;
mod explain;
mod kept_plans;
mod names;
pub mod policies;
mod policy_statements;
mod refusals;
mod ruling;
mod statement;
mod system_tables;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use connectors::connector::{Source, TableDescription};
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::future::join_all;
use parking_lot::Mutex;

use self::kept_plans::KeptPlan;
use self::policies::Policies;
use self::policies::tables::SiteTables;
use self::refusals::Strangers;
use self::statement::{Asked, Bound};
use crate::audit::{self, AuditKey, AuditLog, AuditOptions};
use crate::catalog::system;
use crate::catalog::view::{Directory, DirectoryTable, View};
use crate::config::{Enforcement, Limits, SiteConfig};
use crate::error::{Code, EngineError, Result, with_causes};
use crate::flight::door::{Description, Door, ListedTable, Question, Readiness, Refused};
use crate::identity::{Asker, Sessions};
use crate::session::declared::describe_plan;
use crate::session::kept::Kept;
use crate::session::options::base_state;
use crate::session::queries::{Queries, QueryRecord};
use crate::state;

/// A site's query engine.
#[derive(Debug)]
pub struct Site {
    name: String,
    sources: BTreeMap<String, Arc<dyn Source>>,
    default_schema: String,
    base: SessionState,
    queries: Arc<Queries>,
    sessions: Arc<Sessions>,
    limits: Limits,
    kept: Kept<KeptPlan>,
    users: Option<std::path::PathBuf>,
    /// The sources that could be listed at least once.
    listed_once: Mutex<BTreeSet<String>>,
    /// What decides and records; `None` where policy is switched off.
    control: Option<Control>,
}

/// What decides and records at a site.
#[derive(Debug)]
struct Control {
    policies: Arc<Policies>,
    audit: Arc<AuditLog>,
    strangers: Strangers,
    version_key: [u8; 32],
    _watch: SpawnedTask<()>,
}

impl Site {
    /// Opens the sources, the policies and the record of a configuration.
    ///
    /// # Errors
    /// `CONFIG` for a source that cannot be opened; `AUDIT` for a record that cannot be written.
    pub async fn open(config: &SiteConfig) -> Result<Self> {
        state::begin(&config.node.state)?;
        let tables = SiteTables::open(config).await?;
        let limits = config.node.limits.clone();
        let queries = Queries::keeping(&limits, &config.node.state);
        let sources = tables.sources().clone();
        let audit = match config.policy.enforcement {
            Enforcement::Off => None,
            Enforcement::On => Some(open_audit(config).await?),
        };
        let policies = Policies::open(config, tables, audit.clone()).await?;
        let control = audit.map(|audit| Control::new(policies, audit, &queries, &limits)).transpose()?;
        Ok(Self {
            name: config.node.name.as_str().to_string(),
            default_schema: config.sources.first().map_or_else(String::new, |source| source.name.as_str().to_string()),
            sources,
            base: base_state(&limits)?,
            queries,
            sessions: Arc::new(Sessions::new(&limits)),
            kept: Kept::new(limits.kept_plans_max),
            limits,
            users: config.node.users.clone(),
            listed_once: Mutex::default(),
            control,
        })
    }

    /// The record of this site; `None` where policy is switched off.
    pub fn audit(&self) -> Option<&Arc<AuditLog>> {
        self.control.as_ref().map(|control| &control.audit)
    }

    /// The time, never earlier than it once was at this site, before a restart too.
    pub fn time(&self) -> SystemTime {
        let Some(control) = &self.control else { return SystemTime::now() };
        UNIX_EPOCH + Duration::from_micros(u64::try_from(control.policies.now().0).unwrap_or_default())
    }

    /// Every table that can be described; what is wrong with another one hides none of them.
    async fn described(&self) -> Vec<(String, Arc<TableDescription>)> {
        let listed = join_all(self.sources.iter().map(|(name, source)| async move {
            let tables = source.tables().await;
            match &tables {
                Ok(_) => self.is_listed(name),
                Err(error) => tracing::warn!(source = name, "the source cannot be listed: {}", with_causes(error)),
            }
            tables
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(table, described)| match described {
                    Ok(description) => Some((name.clone(), description)),
                    Err(error) => {
                        tracing::warn!(source = name, table, "the table is left out: {}", with_causes(&error));
                        None
                    }
                })
                .collect::<Vec<_>>()
        }))
        .await;
        listed.into_iter().flatten().collect()
    }

    /// Whether two statements at one version of a table of this source read the same rows.
    fn has_pinned_rows(&self, source: &str) -> bool {
        self.sources.get(source).is_some_and(|source| source.capability().pinned_versions)
    }

    async fn listed(&self, asker: &Asker) -> Result<Vec<ListedTable>> {
        let mut listed = self.listed_tables(asker).await?;
        listed.extend(system::listed());
        listed.extend(system_tables::listed(self));
        Ok(listed)
    }

    /// Whether a source can be listed now; then it is remembered.
    async fn can_list(&self, name: &str, source: &dyn Source) -> bool {
        const PATIENCE: Duration = Duration::from_secs(3);
        let listed = tokio::time::timeout(PATIENCE, source.tables()).await.is_ok_and(|tables| tables.is_ok());
        if listed {
            self.is_listed(name);
        }
        listed
    }

    fn is_listed(&self, source: &str) {
        let mut listed = self.listed_once.lock();
        if !listed.contains(source) {
            listed.insert(source.to_string());
        }
    }

    fn is_administrator(&self, asker: &Asker) -> bool {
        self.control.as_ref().is_some_and(|control| control.policies.is_administrator(asker))
    }
}

impl Control {
    fn new(policies: Arc<Policies>, audit: Arc<AuditLog>, queries: &Arc<Queries>, limits: &Limits) -> Result<Self> {
        let mut version_key = [0; 32];
        getrandom::fill(&mut version_key).map_err(EngineError::internal)?;
        let watch = SpawnedTask::spawn(watch_warrants(Arc::clone(queries), Arc::clone(&policies)));
        let strangers = Strangers::new(limits.audit_strangers_per_minute);
        Ok(Self { policies, audit, strangers, version_key, _watch: watch })
    }

    /// Why nothing is permitted or answered here, whoever asks; the log says more.
    fn faults(&self) -> Vec<&'static str> {
        let unreadable = self.policies.current().unreadable.is_some();
        let broken = self.audit.is_broken();
        let faults = [(unreadable, "the policies cannot be read"), (broken, "the audit log cannot be written")];
        faults.into_iter().filter_map(|(is_so, fault)| is_so.then_some(fault)).collect()
    }
}

async fn open_audit(config: &SiteConfig) -> Result<Arc<AuditLog>> {
    let state = config.node.state.clone();
    let (name, limits) = (config.node.name.as_str().to_string(), config.node.limits.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let key = AuditKey::load_or_create(&state.join(audit::KEY_FILE))?;
        AuditLog::open(&state.join(audit::DIRECTORY), AuditOptions::new(&name, key, &limits))
    });
    opened.await.map_err(EngineError::internal)?
}

/// Ends statements whose right has lapsed at each change of policy at once; what lapses by itself, the node's watch ends.
async fn watch_warrants(queries: Arc<Queries>, policies: Arc<Policies>) {
    let mut changes = policies.subscribe();
    drop(policies);
    while changes.changed().await.is_ok() {
        queries.stop_lapsed();
    }
}

#[async_trait]
impl Door for Site {
    fn name(&self) -> &str {
        &self.name
    }

    fn site(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn queries(&self) -> &Arc<Queries> {
        &self.queries
    }

    fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    fn is_administrator(&self, asker: &Asker) -> bool {
        self.is_administrator(asker)
    }

    fn base(&self) -> &SessionState {
        &self.base
    }

    fn evidence(&self) -> Option<&Arc<AuditLog>> {
        self.audit()
    }

    /// Ready once each source could be listed, as long as policies can be read and the record can be written; a source that fails later is an error of the statements that read it.
    async fn readiness(&self) -> Readiness {
        let parts = join_all(self.sources.iter().map(|(name, source)| async move {
            let known = self.listed_once.lock().contains(name);
            let listed = known || self.can_list(name, source.as_ref()).await;
            (name.clone(), if listed { "listed" } else { "not listed yet" })
        }));
        let parts: BTreeMap<_, _> = parts.await.into_iter().collect();
        let faults = self.control.as_ref().map(Control::faults).unwrap_or_default();
        let ready = faults.is_empty() && parts.values().all(|how| *how == "listed");
        Readiness { ready, of: "sources", parts, faults }
    }

    async fn describe(&self, asker: &Arc<Asker>, question: &Question) -> Result<Description> {
        match self.ask(asker, question).await? {
            Asked::Rows(Bound { kept: Some(kept), .. }) => Ok(Description::of(&kept.declared)),
            Asked::Rows(Bound { state, plan, .. }) => describe_plan(&state, &plan),
            Asked::Explain(_) => Ok(Description::explanation()),
            Asked::ExplainPolicy(_) => Ok(explain::policy_description()),
            Asked::Policy(statement) => self.describe_policy_statement(asker, &statement).await,
        }
    }

    async fn refuse(&self, refused: Refused<'_>, error: EngineError) -> EngineError {
        self.record_refusal(refused, error).await
    }

    async fn execute(&self, record: Arc<QueryRecord>, question: Question) -> Result<SendableRecordBatchStream> {
        let ready = self.ready(&record, &question).await?;
        self.run(record, &question, ready).await
    }

    async fn tables(&self, asker: &Arc<Asker>) -> Result<Vec<ListedTable>> {
        self.listed(asker).await
    }

    fn own_place(&self) -> (String, String) {
        (self.name.clone(), self.default_schema.clone())
    }

    async fn catalogs(&self, asker: &Arc<Asker>) -> Result<Vec<String>> {
        let mut catalogs = vec![system::CATALOG.to_string()];
        if !self.listed_tables(asker).await?.is_empty() {
            catalogs.push(self.name.clone());
        }
        catalogs.sort();
        Ok(catalogs)
    }

    async fn view(&self, asker: &Arc<Asker>) -> Result<Option<View>> {
        self.view_of(asker).await.map(Some)
    }

    async fn directory(&self) -> Result<Option<Directory>> {
        let described = self.described().await;
        let tables =
            described.iter().map(|(source, table)| DirectoryTable::new(source, table)).collect::<Result<_>>()?;
        Ok(Some(Directory { site: self.name.clone(), tables }))
    }

    async fn settle(&self) {
        if let Some(control) = &self.control
            && !control.audit.settle().await
        {
            tracing::error!(
                site = self.name,
                "the audit log is not complete; the next start will tell what was interrupted"
            );
        }
    }
}

/// The refusal of what only administrators of a site may say.
fn for_administrators(what: &str) -> EngineError {
    EngineError::new(
        Code::Statement,
        format!("{what} is for administrators of this site, at its own door: sign in there as one of them"),
    )
}

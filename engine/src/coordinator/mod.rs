//! A coordinator: plans statements over the sites' snapshots, asks the sites, fuses what comes back.

mod answer;
mod disclose;
mod explain;
mod kept_plans;
mod names;
mod policies;
mod records;
mod referral;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement as ParsedStatement;
use futures::StreamExt;
use futures::future::join_all;

use self::answer::{Again, answer, has_moved_on, plan_again};
use self::kept_plans::{KeptPlan, Views};
use crate::catalog::binder::bind;
use crate::catalog::regional::regional_table;
use crate::catalog::site_table::SiteId;
use crate::catalog::snapshot::Snapshots;
use crate::catalog::system;
use crate::catalog::view::{Directory, View};
use crate::config::{CoordinatorConfig, Limits, RegionalTable, SiteAddress, WireCompression};
use crate::error::{Code, EngineError, Result};
use crate::exec::remote_scan::RemoteAccess;
use crate::exec::value_bytes::bytes_of_batch;
use crate::flight::door::{Description, Door, ListedTable, Question, Readiness};
use crate::identity::tls::NodeIdentity;
use crate::identity::{Asker, Came, Sessions};
use crate::peer::{self, Peers};
use crate::plan::expansion::{check_expansion, check_literals};
use crate::plan::pipeline::{Planned, plan};
use crate::plan::prove::Unsent;
use crate::sabotage::{Control, thrown};
use crate::session::complexity::Budget;
use crate::session::counted::Account;
use crate::session::declared::{analyze, declared_schema, describe_plan};
use crate::session::functions::{check_of_files, check_pure};
use crate::session::kept::Kept;
use crate::session::memory::task_context;
use crate::session::options::base_state;
use crate::session::queries::{Queries, QueryRecord};
use crate::session::standard_sql;
use crate::session::statement::{ExplainedFor, Statement, parse};
use crate::session::told::POLICY_COLUMNS;
use crate::session::turns::Turn;

/// A coordinator's query engine.
#[derive(Debug)]
pub struct Coordinator {
    core: Arc<Core>,
}

/// What a running query needs of its coordinator.
#[derive(Debug)]
struct Core {
    name: String,
    base: SessionState,
    peers: Arc<Peers>,
    snapshots: Arc<Snapshots>,
    regionals: Vec<RegionalTable>,
    plans: Kept<KeptPlan>,
    queries: Arc<Queries>,
    sessions: Arc<Sessions>,
    /// The roles of those who see and end what everybody runs here.
    administrators: BTreeSet<String>,
    limits: Arc<Limits>,
    /// Where each site's own door is, as clients write it.
    doors: Vec<(SiteId, String)>,
}

/// A parsed question: the statement, what is wanted of it, and its parameters.
struct Asked {
    statement: ParsedStatement,
    wanted: Wanted,
    question: Question,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Rows,
    Explanation,
    Analysis,
    Policy,
}

impl Coordinator {
    /// A coordinator over the sites of its configuration; they need not be there yet.
    ///
    /// # Errors
    /// `CONFIG` for an address that is none.
    pub fn new(config: &CoordinatorConfig) -> Result<Self> {
        let limits = Arc::new(config.node.limits.clone());
        let tls = config.node.tls.as_ref().ok_or_else(|| {
            EngineError::new(Code::Config, "a coordinator needs [tls]: the sites know it by its certificate")
        })?;
        let identity = Arc::new(NodeIdentity::open(&tls.files)?);
        let addresses = config.sites.iter().map(|site| address(&identity, site)).collect();
        let peers = Arc::new(Peers::new(addresses, &limits)?);
        let snapshots = Snapshots::new(&peers, &limits);
        let core = Core {
            name: config.node.name.as_str().to_string(),
            base: base_state(&limits)?,
            peers,
            snapshots,
            plans: Kept::new(limits.kept_plans_max),
            regionals: config.regionals.clone(),
            queries: Queries::keeping(&limits, &config.node.state),
            sessions: Arc::new(Sessions::new(&limits)),
            administrators: config.administrators.clone(),
            limits,
            doors: config.sites.iter().map(|site| (SiteId::new(site.name.as_str()), site.address.door())).collect(),
        };
        Ok(Self { core: Arc::new(core) })
    }
}

impl Core {
    fn is_administrator(&self, asker: &Asker) -> bool {
        asker.came == Came::Directly && !asker.subject.roles.is_disjoint(&self.administrators)
    }
}

fn address(identity: &Arc<NodeIdentity>, site: &SiteAddress) -> peer::SiteAddress {
    peer::SiteAddress {
        site: SiteId::new(site.name.as_str()),
        url: site.address.to_string(),
        tls_name: site.tls_name.clone(),
        identity: Arc::clone(identity),
        compression: match site.compression {
            WireCompression::None => "none",
            WireCompression::Lz4 => "lz4",
            WireCompression::Zstd => "zstd",
        },
    }
}

#[async_trait]
impl Door for Coordinator {
    fn name(&self) -> &str {
        &self.core.name
    }

    fn queries(&self) -> &Arc<Queries> {
        &self.core.queries
    }

    fn sessions(&self) -> &Arc<Sessions> {
        &self.core.sessions
    }

    fn is_administrator(&self, asker: &Asker) -> bool {
        self.core.is_administrator(asker)
    }

    fn base(&self) -> &SessionState {
        &self.core.base
    }

    /// Ready whatever the sites are: it answers what needs only those that are there.
    async fn readiness(&self) -> Readiness {
        let parts = self.core.peers.all().into_iter();
        let parts = parts.map(|peer| async move { (peer.site().to_string(), peer.health().await.told()) });
        let parts = join_all(parts).await.into_iter().collect();
        Readiness { ready: true, of: "sites", parts, faults: Vec::new() }
    }

    async fn describe(&self, asker: &Arc<Asker>, question: &Question) -> Result<Description> {
        if let Some(kept) = self.core.kept(asker, question).await? {
            return Ok(kept.description.clone());
        }
        let asked = self.core.parse(asker, question).await?;
        let bound = self.core.bind(asker, &asked).await?;
        match asked.wanted {
            Wanted::Rows => match self.core.keep(asker, &asked, &bound).await? {
                Some(kept) => Ok(kept.description.clone()),
                None => describe_plan(&bound.state, &bound.plan),
            },
            Wanted::Explanation | Wanted::Analysis => Ok(Description::explanation()),
            Wanted::Policy => Ok(Description::told(&POLICY_COLUMNS)),
        }
    }

    fn known(&self, asker: &Arc<Asker>, question: &Question) -> Result<Option<Description>> {
        Ok(self.core.kept_now(asker, question)?.map(|kept| kept.description.clone()))
    }

    fn pass_on(
        &self,
        record: &Arc<QueryRecord>,
        question: &Question,
        turn: Option<Arc<Turn>>,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let Some(kept) = self.core.kept_now(&record.asker, question)? else { return Ok(None) };
        let Some(run) = self.core.run_of_passing_on(record, &kept) else { return Ok(None) };
        let (core, of) = (Arc::clone(&self.core), Arc::clone(record));
        let batches = answer(core, Arc::clone(record), question.clone(), run, Again::OnQueryThreads(turn));
        let schema = batches.schema();
        // As on the query threads, a defect is an error and no broken connection.
        let told = AssertUnwindSafe(batches)
            .catch_unwind()
            .map(|batch| batch.unwrap_or_else(|_| Err(EngineError::defect("passing an answer on panicked").into())))
            .inspect(move |batch| of.hands_on(batch.as_ref().map_or(0, bytes_of_batch)));
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, told))))
    }

    async fn execute(&self, record: Arc<QueryRecord>, question: Question) -> Result<SendableRecordBatchStream> {
        if let Some(kept) = self.core.kept(&record.asker, &question).await? {
            let run = self.core.run_of(&record, &kept).await?;
            return Ok(answer(Arc::clone(&self.core), record, question, run, Again::Here));
        }
        let asked = self.core.parse(&record.asker, &question).await?;
        if asked.wanted == Wanted::Policy {
            let bound = self.core.bind(&record.asker, &asked).await?;
            return policies::told(&bound.plan);
        }
        let run = self.core.plan(&record, &asked).await?;
        match asked.wanted {
            Wanted::Rows => Ok(answer(Arc::clone(&self.core), record, question, run, Again::Here)),
            Wanted::Explanation | Wanted::Policy => explain::explanation(&run),
            Wanted::Analysis => match explain::analysis(&run, &record).await {
                Err(error) if has_moved_on(&error) => {
                    let run = plan_again(&self.core, &record, &question, &run).await?;
                    explain::analysis(&run, &record).await
                }
                analyzed => analyzed,
            },
        }
    }

    async fn tables(&self, asker: &Arc<Asker>) -> Result<Vec<ListedTable>> {
        let listed = self.core.listed(asker).await?;
        tracing::debug!(subject = asker.label(), tables = listed.len(), "listed tables");
        Ok(listed)
    }

    fn own_place(&self) -> (String, String) {
        names::own_place()
    }

    async fn catalogs(&self, asker: &Arc<Asker>) -> Result<Vec<String>> {
        let views = self.core.snapshots.all(asker).await?;
        let seen = views.iter().filter(|(_, view)| !view.tables.is_empty());
        let mut catalogs: Vec<String> = seen.map(|(site, _)| site.to_string()).collect();
        catalogs.extend(self.core.regional_tables(asker).await.into_iter().map(|table| table.catalog));
        catalogs.push(system::CATALOG.to_string());
        catalogs.sort();
        catalogs.dedup();
        Ok(catalogs)
    }

    async fn view(&self, _asker: &Arc<Asker>) -> Result<Option<View>> {
        Ok(None)
    }

    async fn directory(&self) -> Result<Option<Directory>> {
        Ok(None)
    }
}

/// A statement over the tables that it names, nothing of it optimized.
struct Bound {
    state: SessionState,
    plan: LogicalPlan,
    /// The views that its tables are of; `None` where it names others.
    views: Option<Views>,
}

/// A planned query and the session it runs in.
struct Run {
    context: Arc<TaskContext>,
    declared: arrow::datatypes::SchemaRef,
    planned: Arc<Planned>,
    /// The policies that applied, a line for each governed table.
    policies: Vec<(String, String)>,
}

impl Core {
    async fn parse(&self, asker: &Arc<Asker>, question: &Question) -> Result<Asked> {
        let (statement, wanted) = match parse(&question.sql, &Budget::of(&self.limits))? {
            Statement::Query(statement) => (statement, Wanted::Rows),
            Statement::Explain(statement) => (statement, Wanted::Explanation),
            Statement::ExplainAnalyze(statement) => (statement, Wanted::Analysis),
            Statement::ExplainPolicy { who: ExplainedFor::Asker, query } => (query, Wanted::Policy),
            Statement::ExplainPolicy { who: ExplainedFor::User { .. }, query } => {
                return Err(referral::of_simulation(self, &query));
            }
            Statement::Policy(text) => return Err(referral::of_policy_statement(self, asker, &text).await),
        };
        Ok(Asked { statement, wanted, question: question.clone() })
    }

    async fn bind(&self, asker: &Arc<Asker>, asked: &Asked) -> Result<Bound> {
        let names = || names::Subjects::new(self, asker, &asked.question.place);
        let first = names();
        let bound = match self.bind_once(&first, asked).await {
            Err(error) if error.code() == Code::NotFound => {
                // What is not found may be new.
                let sites = first.sites.lock().iter().cloned().collect();
                if !self.snapshots.look_again(asker, sites).await? {
                    return Err(error);
                }
                self.bind_once(&names(), asked).await?
            }
            bound => bound?,
        };
        check_of_files(&bound.plan)?;
        if !policies::governed_tables(&bound.plan)?.is_empty() {
            check_pure(&bound.plan)?;
        }
        Ok(bound)
    }

    async fn bind_once(&self, names: &names::Subjects<'_>, asked: &Asked) -> Result<Bound> {
        let (state, statement) = bind(&self.base, names, &asked.statement).await?;
        let in_statement = |error| EngineError::in_statement(error, &asked.question.sql);
        let plan = standard_sql::plan(&state, statement).await.map_err(in_statement)?;
        let plan = analyze(&state, plan, asked.question.parameters.as_ref())?;
        check_expansion(&plan, &self.limits)?;
        let views = names.views.lock().take();
        Ok(Bound { state, plan, views })
    }

    /// What the operators of that query run in.
    fn context(&self, state: &SessionState, record: &Arc<QueryRecord>) -> Arc<TaskContext> {
        let config = state.config().clone().with_extension(self.access(record));
        task_context(state, config, &record.memory, self.limits.subject_memory_bytes)
    }

    fn access(&self, record: &Arc<QueryRecord>) -> Arc<RemoteAccess> {
        let (peers, limits) = (Arc::clone(&self.peers), Arc::clone(&self.limits));
        Arc::new(RemoteAccess { peers, record: Arc::clone(record), limits })
    }

    async fn plan(&self, record: &Arc<QueryRecord>, asked: &Asked) -> Result<Run> {
        let mut bound = self.bind(&record.asker, asked).await?;
        if let Some(kept) = self.keep(&record.asker, asked, &bound).await? {
            return self.run_of(record, &kept).await;
        }
        if asked.wanted != Wanted::Explanation {
            Account::begin(&mut bound.state, &record.memory, &self.limits);
        }
        self.finish(record, bound.state, bound.plan, None).await
    }

    /// Plans a bound statement to its end, for that query.
    async fn finish(
        &self,
        record: &Arc<QueryRecord>,
        mut state: SessionState,
        mut logical: LogicalPlan,
        optimized: Option<LogicalPlan>,
    ) -> Result<Run> {
        state.config_mut().set_extension(self.access(record));
        if thrown(Control::Disclosure) {
            logical = disclose::fold_subqueries(&state, logical).await?;
        }
        let planned = self.planned(&state, logical.clone(), optimized).await?;
        let policies = policies::lines(&logical)?;
        let declared = declared_schema(&logical, &planned.cut.plan);
        let context = self.context(&state, record);
        Ok(Run { context, declared, planned: Arc::new(planned), policies })
    }

    async fn planned(
        &self,
        state: &SessionState,
        logical: LogicalPlan,
        optimized: Option<LogicalPlan>,
    ) -> Result<Planned> {
        let planned = plan(state, logical, optimized).await?;
        check_literals(&planned.cut.plan, &self.limits)?;
        for (site, unsent) in &planned.cut.unsent {
            // The reason may quote the statement; EXPLAIN tells it to the asker.
            match unsent {
                Unsent::NotWritten(what) => {
                    tracing::debug!(%site, "cut smaller: {}", what.operator);
                }
                Unsent::NotProven(what) => {
                    tracing::warn!(%site, "cut smaller, not proven: {}", what.operator);
                }
            }
        }
        Ok(planned)
    }

    async fn listed(&self, asker: &Arc<Asker>) -> Result<Vec<ListedTable>> {
        let mut listed = self.site_tables(asker).await?;
        listed.extend(self.regional_tables(asker).await);
        listed.extend(system::listed());
        listed.extend(records::listed());
        Ok(listed)
    }

    async fn site_tables(&self, asker: &Arc<Asker>) -> Result<Vec<ListedTable>> {
        let views = self.snapshots.all(asker).await?;
        let mut listed = Vec::new();
        for (site, view) in &views {
            listed.extend(view.tables.all()?.into_iter().map(|(source, table, known)| ListedTable {
                catalog: site.to_string(),
                schema: source.to_string(),
                table: table.to_string(),
                is_view: known.is_view,
                columns: known.notes.mark(&known.treatment.mark(&known.schema)),
                primary_key: known.primary_key.clone(),
                foreign_keys: known.foreign_keys.clone(),
                comment: known.comment.clone(),
                tags: known.notes.table_tags(),
            }));
        }
        Ok(listed)
    }

    /// A regional table whose arms cannot all be described is not listed; asking for it says why. One of whose arms the asker
    /// may see none is not there.
    async fn regional_tables(&self, asker: &Arc<Asker>) -> Vec<ListedTable> {
        let mut listed = Vec::new();
        for regional in &self.regionals {
            match regional_table(&self.snapshots, &self.base, asker, regional).await {
                Ok(None) => {}
                Ok(Some(view)) => listed.push(ListedTable {
                    catalog: regional.name.catalog.clone(),
                    schema: regional.name.schema.clone(),
                    table: regional.name.table.clone(),
                    is_view: true,
                    columns: view.listed,
                    primary_key: Vec::new(),
                    foreign_keys: Vec::new(),
                    comment: None,
                    tags: None,
                }),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        listed
    }
}

//! The names that a statement may use at a site: the tables that its asker may see, each as the site's policy shows it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use connectors::connector::Table;
use connectors::error::ConnectorError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use policy::barrier::{BarrierId, Governed, PolicyBarrier};
use policy::decision::{Decision, Denial};
use policy::resource::TableName;

use super::Site;
use super::kept_plans::Use;
use super::ruling::{Admitted, Ruling};
use super::system_tables::system_table;
use crate::catalog::binder::{Names, unknown_table};
use crate::catalog::{information_schema, system};
use crate::error::{Code, EngineError, Result, with_causes};
use crate::flight::door::{Door, Question};
use crate::identity::Asker;
use crate::key_set::{self, KeySet};
use crate::sabotage::{Control, thrown};
use crate::session::place::Place;

/// The names, for one statement of one asker.
pub(super) struct SiteNames<'a> {
    pub(super) site: &'a Site,
    pub(super) asker: &'a Asker,
    /// What the session has chosen.
    pub(super) place: &'a Place,
    /// The versions that a coordinator planned with.
    pub(super) versions: &'a BTreeMap<String, String>,
    /// The key sets that came with it.
    pub(super) key_sets: &'a [KeySet],
    /// By what it is decided; `None` where policy is switched off.
    pub(super) ruling: Option<&'a Ruling>,
    /// The governed tables that were named so far, each with its untreated scan.
    pub(super) governed: Mutex<Vec<(Arc<Governed>, LogicalPlan)>>,
    /// The system tables that were named so far.
    pub(super) told: Mutex<Vec<String>>,
    /// Why tables were denied: for administrators alone.
    pub(super) denials: Mutex<Vec<String>>,
    /// The tables that were named so far; `None` once anything else was, or a table of a source that makes another one each time.
    pub(super) uses: Mutex<Option<Vec<Use>>>,
}

#[async_trait]
impl Names for SiteNames<'_> {
    async fn table(&self, name: &ResolvedTableReference) -> Result<Arc<dyn TableProvider>> {
        if let Some(own) = self.own_table(name).await? {
            *self.uses.lock() = None;
            return Ok(own);
        }
        let (table, decision) = self.resolve(name).await?;
        let mut uses = self.uses.lock();
        match uses.as_mut().filter(|_| self.site.has_pinned_rows(&name.schema)) {
            Some(uses) => uses.push(Use { name: name.clone(), table: table.clone(), decision: decision.clone() }),
            None => *uses = None,
        }
        drop(uses);
        match (self.ruling, decision) {
            (Some(ruling), Some(decision)) => self.governed_table(ruling, name, &table, decision),
            _ => Ok(table.provider),
        }
    }

    async fn known(&self, name: &ResolvedTableReference) -> Result<()> {
        self.table(name).await?;
        // Its rows are none of what is decided about.
        self.governed.lock().clear();
        Ok(())
    }

    fn defaults(&self) -> (String, String) {
        self.place.or(self.site.own_place())
    }
}

impl<'a> SiteNames<'a> {
    /// The names of one question of that asker.
    pub(super) fn new(site: &'a Site, asker: &'a Asker, question: &'a Question, ruling: Option<&'a Ruling>) -> Self {
        Self {
            site,
            asker,
            place: &question.place,
            versions: &question.versions,
            key_sets: &question.key_sets,
            ruling,
            governed: Mutex::default(),
            told: Mutex::default(),
            denials: Mutex::default(),
            uses: Mutex::new(Some(Vec::new())),
        }
    }

    /// A table of no source: of a listing, of keys that came with the question, of the system.
    async fn own_table(&self, name: &ResolvedTableReference) -> Result<Option<Arc<dyn TableProvider>>> {
        if name.schema.as_ref() == information_schema::SCHEMA {
            let listed = self.site.listed(self.asker).await?;
            return information_schema::table(name, &listed)?.map(Some).ok_or_else(|| unknown_table(name));
        }
        if name.catalog.as_ref() == system::CATALOG && name.schema.as_ref() == key_set::SCHEMA {
            let named = self.key_sets.iter().find(|set| set.id.to_string() == *name.table);
            return named.ok_or_else(|| unknown_table(name))?.table().map(Some);
        }
        if name.catalog.as_ref() == system::CATALOG {
            self.told.lock().push(format!("{}.{}.{}", name.catalog, name.schema, name.table));
            return system_table(self.site, self.asker, name)?.map(Some).ok_or_else(|| unknown_table(name));
        }
        Ok(None)
    }

    /// A table of a source, and what is decided about it for the asker; nothing is where policy is switched off.
    ///
    /// # Errors
    /// As [`Names::table`]; `STALE` for another version than a coordinator planned with.
    pub(super) async fn resolve(&self, name: &ResolvedTableReference) -> Result<(Table, Option<Decision>)> {
        if name.catalog.as_ref() != self.site.name {
            return Err(unknown_table(name));
        }
        let Some(ruling) = self.ruling else {
            let table = self.found(name).await?;
            self.check_version(name, &table.description.version)?;
            return Ok((table, None));
        };
        if self.site.is_administrator(self.asker) {
            self.site.policies()?.current().readable()?;
        }
        let found = match ruling.admit(self.asker)? {
            Admitted::ForPurpose => self.found(name).await,
            // Without a purpose, a table that exists is told exactly like one that does not.
            Admitted::ToWhatIsOpen(refusal) => match self.found(name).await {
                Ok(table) if self.decided(ruling, name, &table).is_ok() => Ok(table),
                _ => Err(refusal),
            },
        };
        let table = found?;
        let decision = self.decided(ruling, name, &table).map_err(|denial| {
            let of_site = TableName::new(name.schema.as_ref(), name.table.as_ref());
            self.denials.lock().push(format!("{of_site} is denied: {denial}"));
            unknown_table(name)
        })?;
        self.check_version(name, &ruling.version(&table.description.version, &decision))?;
        Ok((table, Some(decision)))
    }

    async fn found(&self, name: &ResolvedTableReference) -> Result<Table> {
        let source = self.site.sources.get(name.schema.as_ref()).ok_or_else(|| unknown_table(name))?;
        match source.table(&name.table).await {
            Err(ConnectorError::TableNotFound { .. }) => Err(unknown_table(name)),
            // A table that cannot be read is told so only to those who would see it; nobody can say who that is.
            Err(error) if self.ruling.is_some() => {
                let told = with_causes(&error);
                tracing::warn!("the table `{}.{}` cannot be described: {told}", name.schema, name.table);
                Err(unknown_table(name))
            }
            other => other.map_err(|error| {
                let sentence = format!("the source `{}` cannot be read at present", name.schema);
                EngineError::new(Code::SiteUnavailable, sentence).caused_by(error)
            }),
        }
    }

    /// The error with the reasons of all denials.
    pub(super) fn with_denials(&self, error: EngineError) -> EngineError {
        let denials = self.denials.lock();
        if denials.is_empty() {
            return error;
        }
        EngineError::new(error.code(), format!("{}; {}", error.sentence(), denials.join("; ")))
    }

    fn decided(
        &self,
        ruling: &Ruling,
        name: &ResolvedTableReference,
        table: &Table,
    ) -> std::result::Result<Decision, Denial> {
        let of_site = TableName::new(name.schema.as_ref(), name.table.as_ref());
        ruling.decide(self.asker, &of_site, &table.description.schema)
    }

    fn governed_table(
        &self,
        ruling: &Ruling,
        name: &ResolvedTableReference,
        table: &Table,
        decision: Decision,
    ) -> Result<Arc<dyn TableProvider>> {
        let of_site = TableName::new(name.schema.as_ref(), name.table.as_ref());
        let governed = Arc::new(Governed { table: of_site, decision, id: next_barrier() });
        let scan = scan(name, table)?;
        let provider = GovernedTable::new(ruling, scan.clone(), &governed)?;
        self.governed.lock().push((governed, scan));
        Ok(Arc::new(provider))
    }

    fn check_version(&self, name: &ResolvedTableReference, now: &str) -> Result<()> {
        let key = format!("{}.{}", name.schema, name.table);
        match self.versions.get(&key) {
            Some(version) if version != now => Err(EngineError::new(
                Code::Stale,
                format!("the table `{key}` has changed since the statement was planned; ask again"),
            )),
            _ => Ok(()),
        }
    }
}

fn scan(name: &ResolvedTableReference, table: &Table) -> Result<LogicalPlan> {
    let reference = TableReference::full(Arc::clone(&name.catalog), Arc::clone(&name.schema), Arc::clone(&name.table));
    let source = provider_as_source(Arc::clone(&table.provider));
    Ok(LogicalPlanBuilder::scan(reference, source, None)?.build()?)
}

fn next_barrier() -> BarrierId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    BarrierId(LAST.fetch_add(1, Ordering::Relaxed))
}

/// A table as its asker sees it: a plan under a barrier, and no other way to its rows.
#[derive(Debug)]
struct GovernedTable {
    schema: SchemaRef,
    plan: LogicalPlan,
}

impl GovernedTable {
    fn new(ruling: &Ruling, scan: LogicalPlan, governed: &Arc<Governed>) -> Result<Self> {
        let treated = policy::view::treat(&governed.decision, scan, ruling.keys()).map_err(EngineError::internal)?;
        let plan = if thrown(Control::Barrier) {
            treated
        } else {
            PolicyBarrier::new(Arc::clone(governed), treated).into_plan()
        };
        Ok(Self { schema: Arc::clone(plan.schema().inner()), plan })
    }
}

#[async_trait]
impl TableProvider for GovernedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Err(EngineError::defect("a governed table was scanned beside its barrier").into())
    }
}

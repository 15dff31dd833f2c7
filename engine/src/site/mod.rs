//! A site: its sources behind one door. Names are bound here, against what exists now, whoever sent the statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connectors::connector::{Source, TableDescription};
use connectors::error::ConnectorError;
use datafusion::catalog::TableProvider;
use datafusion::common::ResolvedTableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::sql::parser::Statement as ParsedStatement;
use futures::future::join_all;

use crate::catalog::binder::{Names, bind, unknown_table};
use crate::catalog::system;
use crate::catalog::view::{Directory, DirectoryTable, View, ViewTable};
use crate::config::{Limits, SiteConfig};
use crate::error::{Code, EngineError, Result};
use crate::flight::door::{Description, Door, ListedTable, Question};
use crate::identity::Asker;
use crate::session::declared::{analyze, declare, declared_schema, describe_plan, lines};
use crate::session::options::base_state;
use crate::session::queries::{Queries, QueryRecord};
use crate::session::statement::{Statement, parse};

/// A site's query engine.
#[derive(Debug)]
pub struct Site {
    name: String,
    sources: BTreeMap<String, Arc<dyn Source>>,
    default_schema: String,
    base: SessionState,
    queries: Arc<Queries>,
    limits: Limits,
}

impl Site {
    /// Opens the sources of a configuration.
    ///
    /// # Errors
    /// `CONFIG` for a source that cannot be opened.
    pub async fn open(config: &SiteConfig) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for source in &config.sources {
            let opened =
                connectors::registry::open(&source.kind, source.name.as_str(), source.options.clone(), &source.base)
                    .await
                    .map_err(|error| EngineError::new(Code::Config, error.to_string()).caused_by(error))?;
            sources.insert(source.name.as_str().to_string(), opened);
        }
        let limits = config.node.limits.clone();
        Ok(Self {
            name: config.node.name.as_str().to_string(),
            default_schema: config.sources.first().map_or_else(String::new, |source| source.name.as_str().to_string()),
            sources,
            base: base_state(&limits)?,
            queries: Queries::new(limits.running_queries_max, limits.recent_queries_max),
            limits,
        })
    }

    async fn bind(&self, asker: &Asker, question: &Question, statement: &ParsedStatement) -> Result<SessionState> {
        let names = SiteNames { site: self, asker, versions: &question.versions };
        bind(&self.base, &names, statement).await
    }

    async fn logical(&self, asker: &Asker, question: &Question) -> Result<(SessionState, Asked)> {
        let (statement, explain) = match parse(&question.sql, self.limits.statement_bytes_max)? {
            Statement::Query(query) => (query, false),
            Statement::Explain(query) => (query, true),
            Statement::Policy(_) | Statement::ExplainPolicy { .. } => {
                return Err(EngineError::new(Code::Unsupported, "policy is not offered here yet"));
            }
            Statement::ExplainAnalyze(_) => {
                return Err(EngineError::new(
                    Code::Unsupported,
                    "EXPLAIN ANALYZE is answered by a coordinator, which sees the borders; at a site use EXPLAIN",
                ));
            }
        };
        let state = self.bind(asker, question, &statement).await?;
        let plan = state.statement_to_plan(statement).await?;
        let plan = analyze(&state, plan, question.parameters.as_ref())?;
        Ok((state, if explain { Asked::Explain(plan) } else { Asked::Rows(plan) }))
    }

    /// Every table that can be described; what is wrong with another one hides none of them.
    async fn described(&self) -> Vec<(String, Arc<TableDescription>)> {
        let listed = join_all(self.sources.iter().map(|(name, source)| async move {
            let tables = source.tables().await.unwrap_or_else(|error| {
                tracing::warn!(source = name, "the source cannot be listed: {error}");
                Vec::new()
            });
            tables
                .into_iter()
                .filter_map(|(table, described)| match described {
                    Ok(description) => Some((name.clone(), description)),
                    Err(error) => {
                        tracing::warn!(source = name, table, "the table is left out: {error}");
                        None
                    }
                })
                .collect::<Vec<_>>()
        }))
        .await;
        listed.into_iter().flatten().collect()
    }
}

/// A statement's plan, and what is wanted of it.
enum Asked {
    Rows(LogicalPlan),
    Explain(LogicalPlan),
}

#[async_trait]
impl Door for Site {
    fn name(&self) -> &str {
        &self.name
    }

    fn queries(&self) -> &Arc<Queries> {
        &self.queries
    }

    async fn describe(&self, asker: &Arc<Asker>, question: &Question) -> Result<Description> {
        match self.logical(asker, question).await? {
            (state, Asked::Rows(plan)) => describe_plan(&state, &plan),
            (_, Asked::Explain(_)) => Ok(Description::explanation()),
        }
    }

    async fn execute(&self, record: Arc<QueryRecord>, question: Question) -> Result<SendableRecordBatchStream> {
        let (state, asked) = self.logical(&record.asker, &question).await?;
        match asked {
            Asked::Rows(plan) => {
                let optimized = state.optimize(&plan)?;
                let declared = declared_schema(&plan, &optimized);
                let physical = state.query_planner().create_physical_plan(&optimized, &state).await?;
                Ok(declare(declared, execute_stream(physical, state.task_ctx())?))
            }
            Asked::Explain(plan) => {
                let optimized = state.optimize(&plan)?;
                lines(vec![(format!("site {}", self.name), optimized.display_indent().to_string())])
            }
        }
    }

    async fn tables(&self, _asker: &Arc<Asker>) -> Result<Vec<ListedTable>> {
        let mut listed: Vec<ListedTable> = self
            .described()
            .await
            .into_iter()
            .map(|(source, table)| ListedTable {
                catalog: self.name.clone(),
                schema: source,
                table: table.name.clone(),
                table_type: "BASE TABLE",
                columns: Arc::clone(&table.schema),
                comment: table.comment.clone(),
            })
            .collect();
        listed.extend(system::listed());
        Ok(listed)
    }

    fn catalogs(&self) -> Vec<String> {
        vec![self.name.clone(), system::CATALOG.to_string()]
    }

    async fn view(&self, _asker: &Arc<Asker>) -> Result<Option<View>> {
        let described = self.described().await;
        let tables = described.iter().map(|(source, table)| ViewTable::new(source, table)).collect::<Result<_>>()?;
        Ok(Some(View { site: self.name.clone(), tables }))
    }

    async fn directory(&self) -> Result<Option<Directory>> {
        let described = self.described().await;
        let tables =
            described.iter().map(|(source, table)| DirectoryTable::new(source, table)).collect::<Result<_>>()?;
        Ok(Some(Directory { site: self.name.clone(), tables }))
    }
}

/// The names that a statement may use at a site, at the versions that a coordinator planned with.
struct SiteNames<'a> {
    site: &'a Site,
    asker: &'a Asker,
    versions: &'a BTreeMap<String, String>,
}

#[async_trait]
impl Names for SiteNames<'_> {
    async fn table(&self, name: &ResolvedTableReference) -> Result<Arc<dyn TableProvider>> {
        if name.catalog.as_ref() == system::CATALOG && name.schema.as_ref() == system::QUERIES {
            let found = system::table(&self.site.queries, &self.asker.label(), &name.table)?;
            return found.ok_or_else(|| unknown_table(name));
        }
        let source = match self.site.sources.get(name.schema.as_ref()) {
            Some(source) if name.catalog.as_ref() == self.site.name => source,
            _ => return Err(unknown_table(name)),
        };
        let table = match source.table(&name.table).await {
            Err(ConnectorError::TableNotFound { .. }) => return Err(unknown_table(name)),
            other => other.map_err(|error| source_error(&name.schema, error))?,
        };
        let key = format!("{}.{}", name.schema, name.table);
        match self.versions.get(&key) {
            Some(version) if *version != table.description.version => Err(EngineError::new(
                Code::Stale,
                format!("the table `{key}` has changed since the statement was planned; ask again"),
            )),
            _ => Ok(table.provider),
        }
    }

    fn defaults(&self) -> (String, String) {
        (self.site.name.clone(), self.site.default_schema.clone())
    }
}

fn source_error(source: &str, error: ConnectorError) -> EngineError {
    EngineError::new(Code::SiteUnavailable, format!("the source `{source}` cannot be read at present")).caused_by(error)
}

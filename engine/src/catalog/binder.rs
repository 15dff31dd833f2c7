//! From a parsed statement to a DataFusion session that holds the tables it names, and no others.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::memory::{MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;

use crate::catalog::listing;
use crate::error::{Code, EngineError, Result};

/// Answers names. A site answers from its sources, a coordinator from its snapshots of the sites.
#[async_trait]
pub trait Names: Send + Sync {
    /// The table of that full name.
    ///
    /// # Errors
    /// `NOT_FOUND` for a name that is unknown; `SITE_UNAVAILABLE` where nobody can say.
    async fn table(&self, name: &ResolvedTableReference) -> Result<Arc<dyn TableProvider>>;

    /// Whether there is a table of that name, of which no row is read.
    ///
    /// # Errors
    /// As [`Names::table`].
    async fn known(&self, name: &ResolvedTableReference) -> Result<()> {
        self.table(name).await.map(|_| ())
    }

    /// The catalog and schema of names that are not written in full.
    fn defaults(&self) -> (String, String);
}

/// A session over exactly the tables that `statement` names, made from `base` (functions, options, rules), and the statement:
/// in the place of a listing the query that answers it.
///
/// # Errors
/// The first name that cannot be resolved, as `names` says it.
pub async fn bind(base: &SessionState, names: &dyn Names, statement: &Statement) -> Result<(SessionState, Statement)> {
    let statement = listing::query(names, statement).await?.unwrap_or_else(|| statement.clone());
    let (catalog, schema) = names.defaults();
    let catalogs = MemoryCatalogProviderList::new();
    let mut bound: HashMap<ResolvedTableReference, ()> = HashMap::new();
    for reference in base.resolve_table_references(&statement)? {
        let resolved = reference.clone().resolve(&catalog, &schema);
        if bound.contains_key(&resolved) {
            continue;
        }
        let provider = names.table(&resolved).await.map_err(|error| of_function(base, &reference, error))?;
        register(&catalogs, &resolved, provider)?;
        bound.insert(resolved, ());
    }
    // Not by a builder, which registers every function anew.
    let mut state = base.clone();
    *state.config_mut() = base.config().clone().with_default_catalog_and_schema(catalog, schema);
    state.register_catalog_list(Arc::new(catalogs));
    state.mark_start_execution();
    Ok((state, statement))
}

/// What is told of a name that is no table: a function that makes rows is not one either.
fn of_function(base: &SessionState, reference: &TableReference, error: EngineError) -> EngineError {
    match reference {
        TableReference::Bare { table }
            if error.code() == Code::NotFound && base.table_functions().contains_key(table.as_ref()) =>
        {
            let sentence =
                format!("the function `{table}` is not offered as a table; write unnest({table}(…)) in its place");
            EngineError::new(Code::Function, sentence)
        }
        _ => error,
    }
}

fn register(
    catalogs: &MemoryCatalogProviderList,
    name: &ResolvedTableReference,
    provider: Arc<dyn TableProvider>,
) -> Result<()> {
    let catalog = match catalogs.catalog(&name.catalog) {
        Some(catalog) => catalog,
        None => {
            let catalog: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            catalogs.register_catalog(name.catalog.to_string(), Arc::clone(&catalog));
            catalog
        }
    };
    let schema = match catalog.schema(&name.schema) {
        Some(schema) => schema,
        None => {
            let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(&name.schema, Arc::clone(&schema))?;
            schema
        }
    };
    schema.register_table(name.table.to_string(), provider)?;
    Ok(())
}

/// The error for a table that nobody here knows.
pub fn unknown_table(name: &ResolvedTableReference) -> EngineError {
    let written = TableReference::full(Arc::clone(&name.catalog), Arc::clone(&name.schema), Arc::clone(&name.table));
    EngineError::new(
        Code::NotFound,
        format!("there is no table `{written}`; tables are named site.source.table (list them with \\dt or GetTables)"),
    )
}

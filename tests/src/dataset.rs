//! A data set: tables of several sites as Parquet files, to start a federation on, and the same tables in one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use tempfile::TempDir;

/// Small enough that even the scale of a test has several row groups, so that pruning and streaming are at work.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// Tables of several sites, each one Parquet file below `root`.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Directory that holds `<site>/<source>/<file>.parquet`.
    pub root: PathBuf,
    /// Every table of every site.
    pub tables: Vec<Table>,
    /// Unions of like tables, declared at the coordinator.
    pub regional: Vec<RegionalTable>,
    /// Removes a generated directory once the last user of the data set is gone.
    _keep: Option<Arc<TempDir>>,
}

/// One table: `site.source.name`, kept in one Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Site, which is the catalog of the SQL name.
    pub site: String,
    /// Source, which is the schema of the SQL name.
    pub source: String,
    /// Name as it is, not quoted.
    pub name: String,
    /// The one Parquet file.
    pub path: PathBuf,
    /// The columns of its primary key, as its site's configuration declares it; none of most.
    pub primary_key: Vec<String>,
}

/// A table of a coordinator: the union of like tables, with a last column that names the region.
#[derive(Debug, Clone)]
pub struct RegionalTable {
    /// Catalog of the SQL name; no site has this name.
    pub catalog: String,
    /// Schema of the SQL name.
    pub schema: String,
    /// Name as it is, not quoted.
    pub name: String,
    /// Name of the column that tells the region; it comes last, is Utf8, and is never NULL.
    pub region_column: String,
    /// Value of the region column and the table it stands for.
    pub arms: Vec<(String, Table)>,
}

impl Dataset {
    /// A data set in a directory of its own, removed with it, with no table yet.
    pub fn temporary() -> Result<Self> {
        let keep = TempDir::with_prefix("chancery-dataset-")?;
        Ok(Self { root: keep.path().to_path_buf(), tables: vec![], regional: vec![], _keep: Some(Arc::new(keep)) })
    }

    /// The data set whose files already stand below `root`.
    pub fn existing(root: &Path, names: &[(&str, &str, &str)]) -> Self {
        let tables = names.iter().map(|(site, source, name)| Table::below(root, site, source, name));
        Self { root: root.to_path_buf(), tables: tables.collect(), regional: vec![], _keep: None }
    }

    /// The same tables with the primary keys that `of` tells by their names.
    #[must_use]
    pub fn with_keys(mut self, of: impl Fn(&str) -> &'static [&'static str]) -> Self {
        for table in &mut self.tables {
            table.primary_key = of(&table.name).iter().map(ToString::to_string).collect();
        }
        self
    }

    /// The tables of one site, and nothing else.
    #[must_use]
    pub fn of_site(mut self, site: &str) -> Self {
        self.tables.retain(|table| table.site == site);
        self.regional.clear();
        self
    }

    /// Writes one more table.
    pub fn add(&mut self, [site, source, name]: [&str; 3], schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let mut table = Table::below(&self.root, site, source, name);
        // The file is numbered, because a table's name may be one that no file can have.
        table.path.set_file_name(format!("table{}.parquet", self.tables.len()));
        write_parquet(&table.path, schema, batches.iter().cloned())?;
        self.tables.push(table);
        Ok(())
    }

    /// Puts other rows, and perhaps other columns, in the place of a table, at once.
    pub fn replace(&self, [site, source, name]: [&str; 3], schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let path = &self.table(site, source, name).path;
        let new = path.with_extension("new");
        write_parquet(&new, schema, batches.iter().cloned())?;
        Ok(std::fs::rename(new, path)?)
    }

    /// Declares the regional table `catalog.schema.name` over the tables `<region>.schema.name` of the sites `regions`.
    pub fn add_regional(&mut self, [catalog, schema, name]: [&str; 3], regions: &[&str]) {
        let arms = regions.iter().map(|site| (site.to_string(), self.table(site, schema, name).clone())).collect();
        self.regional.push(RegionalTable {
            catalog: catalog.to_string(),
            schema: schema.to_string(),
            name: name.to_string(),
            region_column: "region".to_string(),
            arms,
        });
    }

    /// The table of this name; a test that asks for another is wrong.
    pub fn table(&self, site: &str, source: &str, name: &str) -> &Table {
        let mut found = self.tables.iter().filter(|t| t.site == site && t.source == source && t.name == name);
        found.next().unwrap_or_else(|| panic!("the data set has no table {site}.{source}.{name}"))
    }

    /// Sites and their sources, each once, in the order of their first table.
    pub fn sources(&self) -> Vec<(&str, &str)> {
        let mut sources = vec![];
        for table in &self.tables {
            let source = (table.site.as_str(), table.source.as_str());
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// Names of the sites, each once, in the order of their first table.
    pub fn sites(&self) -> Vec<String> {
        let mut sites: Vec<String> = vec![];
        for table in &self.tables {
            if !sites.contains(&table.site) {
                sites.push(table.site.clone());
            }
        }
        sites
    }
}

impl Table {
    /// All its rows, in the order that they have.
    ///
    /// # Panics
    /// If the file is not there any more.
    pub fn rows(&self) -> (SchemaRef, Vec<RecordBatch>) {
        let file = std::fs::File::open(&self.path).expect("a file of the data set");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let schema = Arc::clone(reader.schema());
        let rows = reader.build().expect("Parquet").map(|batch| batch.expect("rows of a data set"));
        (schema, rows.collect())
    }

    fn below(root: &Path, site: &str, source: &str, name: &str) -> Self {
        let path = root.join(site).join(source).join(format!("{name}.parquet"));
        let (site, source, name) = (site.to_string(), source.to_string(), name.to_string());
        Self { site, source, name, path, primary_key: Vec::new() }
    }

    /// The name as it is written in SQL, quoted.
    pub fn sql_name(&self) -> String {
        sql_name(&self.site, &self.source, &self.name)
    }
}

impl RegionalTable {
    /// The name as it is written in SQL, quoted.
    pub fn sql_name(&self) -> String {
        sql_name(&self.catalog, &self.schema, &self.name)
    }

    /// The query it stands for, over the sites' own tables.
    pub fn union_all(&self) -> String {
        let column = quote(&self.region_column);
        let arms = self.arms.iter().map(|(region, table)| {
            format!("SELECT *, '{}' AS {column} FROM {}", region.replace('\'', "''"), table.sql_name())
        });
        arms.collect::<Vec<_>>().join(" UNION ALL ")
    }
}

/// One DataFusion process over all the tables, under the names a federation has: the counterpart of every federated test.
pub async fn local_context(dataset: &Dataset) -> Result<SessionContext> {
    let ctx = SessionContext::new_with_state(local_state());
    register(&ctx, dataset).await?;
    Ok(ctx)
}

/// Gives a context all the tables, under the names a federation has.
pub async fn register(ctx: &SessionContext, dataset: &Dataset) -> Result<()> {
    for table in &dataset.tables {
        add_schema(ctx, &table.site, &table.source)?;
        let name = TableReference::full(table.site.as_str(), table.source.as_str(), table.name.as_str());
        ctx.register_parquet(name, table.path.to_string_lossy(), ParquetReadOptions::default()).await?;
    }
    for table in &dataset.regional {
        add_schema(ctx, &table.catalog, &table.schema)?;
        ctx.sql(&format!("CREATE VIEW {} AS {}", table.sql_name(), table.union_all())).await?.collect().await?;
    }
    Ok(())
}

/// Plain string types and no views: the types that are promised to clients.
pub(crate) fn local_config() -> SessionConfig {
    SessionConfig::new()
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        // DataFusion 55.2 sorts each arm of a union without the keys that are constant in it, while all arms share one bound
        // of what a top-N still needs: ORDER BY region, id LIMIT 5 then loses rows. An oracle must not, so it sorts once.
        .set_bool("datafusion.optimizer.repartition_sorts", false)
}

/// No filter is moved by the physical planner, neither a written one nor one that is learnt from a join or a top-N.
///
/// That can only make a query faster. But DataFusion 55.2 moves it by the names of its columns (`FilterRemapper`), and takes the
/// first where two columns have one name, as they may after a join: it then filters another column. The oracle goes without.
fn local_state() -> SessionState {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !rule.name().starts_with("FilterPushdown"));
    let builder = SessionStateBuilder::new().with_config(local_config()).with_default_features();
    builder.with_physical_optimizer_rules(rules).build()
}

/// A catalog and a schema in it, unless they are there.
pub fn add_schema(ctx: &SessionContext, catalog: &str, schema: &str) -> Result<()> {
    let catalog = ctx.catalog(catalog).unwrap_or_else(|| {
        let created: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
        ctx.register_catalog(catalog, Arc::clone(&created));
        created
    });
    if catalog.schema(schema).is_none() {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
    }
    Ok(())
}

fn sql_name(catalog: &str, schema: &str, name: &str) -> String {
    format!("{}.{}.{}", quote(catalog), quote(schema), quote(name))
}

/// An identifier as SQL reads it back unchanged.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Writes one file with all its directories.
pub(crate) fn write_parquet(path: &Path, schema: &SchemaRef, batches: impl Iterator<Item = RecordBatch>) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path)?, Arc::clone(schema), Some(properties(schema)))?;
    for batch in batches {
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(())
}

/// Floats get no statistics: those of Parquet leave NaN out, which DataFusion holds for the greatest float, so a scan would
/// skip rows that the filter keeps, and an answer would depend on whether the filter had reached the scan.
fn properties(schema: &SchemaRef) -> WriterProperties {
    let floats = schema.fields().iter().filter(|field| field.data_type().is_floating());
    let all = WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let without = |properties: WriterPropertiesBuilder, field: &FieldRef| {
        properties.set_column_statistics_enabled(ColumnPath::from(field.name().as_str()), EnabledStatistics::None)
    };
    floats.fold(all, without).build()
}

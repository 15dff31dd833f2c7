//! A file in one process: what it sets up is done there, and what it then asks is made ready for a federation.
//!
//! What is asked is known only where the file is: a table is what it is at that line. So each table that a query names is written
//! to the data set as it stands there, again under another name when it has changed since, and by turns at one site and the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::{Constraint, TableReference};
use datafusion::config::ConfigEntry;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement};

use super::judged::judge;
use super::names;
use super::source::Record;
use crate::dataset::Dataset;
use crate::oracle::{Answer, local_answer};

/// The sites over which tables are dealt.
const SITES: [&str; 2] = ["north", "south"];

/// Partitions of DataFusion's own runs of the files.
const PARTITIONS: usize = 4;

/// What begins so has no part in an answer, but in how it is come by.
const MEANINGLESS: [&str; 4] =
    ["datafusion.optimizer.", "datafusion.execution.", "datafusion.explain.", "datafusion.catalog.information_schema"];

/// But for these.
const MEANINGFUL: [&str; 3] = [
    "datafusion.execution.time_zone",
    "datafusion.execution.enable_ansi_mode",
    "datafusion.execution.enable_recursive_ctes",
];

/// A query to ask a federation.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The record.
    pub record: Record,
    /// Its statement, with the names that its tables have in the federation.
    pub sql: String,
}

/// What has become of the records of one file.
#[derive(Debug, Default)]
pub struct Staged {
    /// What is asked.
    pub asked: Vec<Asked>,
    /// What is not, counted by the reason.
    pub left_out: BTreeMap<String, usize>,
}

/// Runs the records of a file, one after the other; its tables are written to the data set, as tables of this source.
pub async fn stage(records: Vec<Record>, dataset: &mut Dataset, source: String) -> Staged {
    let mut stage = Stage::new(dataset, source);
    let mut staged = Staged::default();
    for record in records {
        match stage.asked(&record).await {
            Ok(sql) => staged.asked.push(Asked { record, sql }),
            Err(reason) => *staged.left_out.entry(reason).or_default() += 1,
        }
    }
    staged
}

/// One file at work.
struct Stage<'a> {
    ctx: SessionContext,
    /// The options as they were at first.
    options: Vec<ConfigEntry>,
    dataset: &'a mut Dataset,
    source: String,
    /// Each table that was asked for, as it was then.
    written: BTreeMap<String, Written>,
}

/// A table as it was, and the names by which the federation has it, each time it was another.
#[derive(Debug)]
struct Written {
    rows: RecordBatch,
    names: Vec<String>,
}

impl<'a> Stage<'a> {
    /// A session as DataFusion's own runs have it.
    fn new(dataset: &'a mut Dataset, source: String) -> Self {
        let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(PARTITIONS));
        let options = ctx.copied_config().options().entries();
        Self { ctx, options, dataset, source, written: BTreeMap::new() }
    }

    /// What to ask the federation; or why nothing is asked.
    async fn asked(&mut self, record: &Record) -> Result<String, String> {
        let statement = match query(&record.sql) {
            Ok(statement) => statement,
            Err(kind) => {
                // A failure is shown by what comes to depend on it.
                let _ = self.answer(&record.sql).await;
                return Err(kind);
            }
        };
        let answer = self.answer(&record.sql).await;
        if let Some(option) = self.changed_option() {
            return Err(format!("with {option}"));
        }
        if judge(&record.expects, &answer, &record.sql).is_err() {
            return Err("another answer in one process here".to_string());
        }
        let mut tables = vec![];
        for named in names::tables(&record.sql, &statement) {
            if named.reference.schema() == Some("information_schema") {
                return Err("information_schema".to_string());
            }
            if let Some(name) = self.table(&named.reference).await? {
                tables.push((named, name));
            }
        }
        Ok(names::replaced(&record.sql, &tables))
    }

    async fn answer(&self, sql: &str) -> Result<Answer, String> {
        let (ctx, sql) = (self.ctx.clone(), sql.to_string());
        // In a task of its own, because DataFusion panics now and then.
        let answer = tokio::spawn(async move { local_answer(&ctx, &sql).await });
        answer.await.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
    }

    /// An option on which answers depend that is not as it was at first.
    fn changed_option(&self) -> Option<String> {
        let now = self.ctx.copied_config().options().entries();
        let changed = now.into_iter().filter(|entry| {
            let before = self.options.iter().find(|before| before.key == entry.key);
            before.and_then(|before| before.value.as_ref()) != entry.value.as_ref()
        });
        let mut keys = changed.map(|entry| entry.key);
        keys.find(|key| !MEANINGLESS.iter().any(|begin| key.starts_with(begin)) || MEANINGFUL.contains(&key.as_str()))
    }

    /// The federation's name of a table as it is now; none of one that is not there.
    async fn table(&mut self, reference: &TableReference) -> Result<Option<String>, String> {
        if !self.ctx.table_exist(reference.clone()).unwrap_or_default() {
            return Ok(None);
        }
        let name = reference.to_quoted_string();
        let answer = self.answer(&format!("SELECT * FROM {name}")).await;
        let rows = answer.and_then(|answer| concat_batches(&answer.schema, &answer.batches).map_err(|e| e.to_string()));
        let rows = rows.map_err(|_| "a table that cannot be read".to_string())?;
        if let Some(written) = self.written.get(&name).filter(|written| written.rows == rows) {
            return Ok(written.names.last().cloned());
        }
        let key = self.primary_key(reference, &rows).await;
        Ok(Some(self.write(reference, key, rows)?))
    }

    /// The columns of the table's primary key; none of most. That others are unique nobody can tell a site.
    async fn primary_key(&self, reference: &TableReference, rows: &RecordBatch) -> Vec<String> {
        let provider = self.ctx.table_provider(reference.clone()).await.ok();
        let constraints = provider.as_ref().and_then(|provider| provider.constraints());
        let key =
            constraints.into_iter().flat_map(|constraints| constraints.iter()).find_map(
                |constraint| match constraint {
                    Constraint::PrimaryKey(columns) => Some(columns.clone()),
                    Constraint::Unique(_) => None,
                },
            );
        key.into_iter().flatten().map(|column| rows.schema().field(column).name().clone()).collect()
    }

    fn write(&mut self, reference: &TableReference, key: Vec<String>, rows: RecordBatch) -> Result<String, String> {
        let (name, table) = (reference.to_quoted_string(), reference.table());
        let before = self.written.get(&name).map_or_else(Vec::new, |written| written.names.clone());
        let site = SITES[(self.written.len() + before.len()) % SITES.len()];
        let called = match before.len() {
            0 => name_of_a_table(&name, table),
            times => format!("{} {}", name_of_a_table(&name, table), times + 1),
        };
        let schema = rows.schema();
        let added = self.dataset.add([site, &self.source, &called], &schema, std::slice::from_ref(&rows));
        added.map_err(|_| "a table of a type that Parquet does not hold".to_string())?;
        let table = self.dataset.tables.last_mut().expect("the table that was added");
        table.primary_key = key;
        let quoted = table.sql_name();
        let names = before.into_iter().chain([quoted.clone()]).collect();
        self.written.insert(name, Written { rows, names });
        Ok(quoted)
    }
}

/// The table's own name; with its schema, where it has another than the usual one.
fn name_of_a_table(name: &str, table: &str) -> String {
    if name.contains('.') { name.replace('"', "") } else { table.to_string() }
}

/// The statement, if it is one query; else its kind.
fn query(sql: &str) -> Result<Arc<Statement>, String> {
    let mut parsed = DFParser::parse_sql(sql).map_err(|_| "no SQL".to_string())?;
    match (parsed.pop_front(), parsed.pop_front()) {
        (Some(Parsed::Statement(statement)), None) if is_query(&statement) => Ok(Arc::new(*statement)),
        (Some(_), None) => Err(kind(sql)),
        _ => Err("several statements".to_string()),
    }
}

/// Not what writes: `SELECT … INTO`.
fn is_query(statement: &Statement) -> bool {
    let Statement::Query(query) = statement else { return false };
    !matches!(query.body.as_ref(), SetExpr::Select(select) if select.into.is_some())
}

/// The word that a statement begins with.
fn kind(sql: &str) -> String {
    let text = sql.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("--")).unwrap_or_default();
    let word: String = text.chars().skip_while(|c| !c.is_alphabetic()).take_while(|c| c.is_alphabetic()).collect();
    match word.to_uppercase() {
        into if into == "SELECT" => "SELECT INTO".to_string(),
        other => other,
    }
}

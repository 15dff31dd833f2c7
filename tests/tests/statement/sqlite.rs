//! What SQLite evaluates, against DataFusion over the same rows: every plan and every subtree that may be written is answered
//! by the connector itself, over tables whose columns hold what SQLite holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use connectors::pushdown::{Evaluates, evaluator_of};
use connectors::statement::Refusal;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Statistics, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use harness::dataset::{Dataset, Table, add_schema, local_context};
use harness::edge::edge;
use harness::plain;
use harness::sqlite::SqliteFile;
use harness::statements::corpus;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::differential::{Rows, Tally, canonical, optimized};
use super::{proper_subtrees, prove, session};

/// Tables of a session in a file, and a session over them; and the same rows in memory.
struct Twins {
    /// Lasts as long as it is read.
    _file: SqliteFile,
    asked: SessionContext,
    /// By full names.
    memory: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl Twins {
    /// Those tables of `local`, plain.
    async fn of(local: &SessionContext, names: Vec<TableReference>) -> Self {
        let file = SqliteFile::new();
        for name in &names {
            let frame = local.table(name.clone()).await.unwrap();
            let columns = plain::columns(frame.schema().inner()).unwrap();
            let frame = frame.select(columns).unwrap();
            let schema = SchemaRef::clone(frame.schema().inner());
            file.load(&name.to_string(), &schema, &frame.collect().await.unwrap());
        }
        let source = connectors::registry::open("sqlite", "db", file.options(), Path::new("/")).await.unwrap();
        let (asked, mut memory) = (session(), BTreeMap::new());
        for name in names {
            let provider = source.table(&name.to_string()).await.unwrap().provider;
            if let (Some(catalog), Some(schema)) = (name.catalog(), name.schema()) {
                add_schema(&asked, catalog, schema).unwrap();
            }
            asked.register_table(name.clone(), Arc::clone(&provider)).unwrap();
            let frame = asked.table(name.clone()).await.unwrap();
            let rows = frame.collect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let table = MemTable::try_new(provider.schema(), vec![rows]).unwrap();
            memory.insert(key(&name), Arc::new(table) as _);
        }
        Self { _file: file, asked, memory }
    }

    async fn compare_with_subtrees(&self, tally: &mut Tally, name: &str, plan: &LogicalPlan) {
        self.compare(tally, name, plan).await;
        for subtree in proper_subtrees(plan) {
            self.compare(tally, name, &subtree).await;
        }
    }

    async fn compare(&self, tally: &mut Tally, name: &str, plan: &LogicalPlan) {
        let Some(evaluator) = evaluator(plan) else { return };
        let evaluated = match evaluator.evaluate(plan, Statistics::new_unknown(plan.schema().as_arrow())) {
            Ok(evaluated) => evaluated,
            Err(refusal) => return tally.refuse(&refusal),
        };
        if let Err(refusal) = prove(&self.asked, plan).await {
            return tally.refuse(&Refusal::new("not proven", refusal.to_string()));
        }
        let types = |schema: &arrow::datatypes::Schema| -> Vec<DataType> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        assert_eq!(types(&evaluated.scan.schema()), types(plan.schema().as_arrow()), "{name}");
        let answer = collect(evaluated.scan, self.asked.task_ctx()).await;
        let answer = answer.map(|batches| canonical(&batches)).map_err(|error| error.to_string());
        tally.compare(name, plan, &evaluated.text, self.expected(plan).await, answer);
    }

    async fn expected(&self, plan: &LogicalPlan) -> Rows {
        let plan = self.over_memory(plan.clone());
        let run = async { self.asked.execute_logical_plan(plan).await?.collect().await };
        Ok(canonical(&run.await.map_err(|error| error.to_string())?))
    }

    /// The same plan over the rows in memory, with what a scan gives its source said above it.
    fn over_memory(&self, plan: LogicalPlan) -> LogicalPlan {
        let moved = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => Ok(Transformed::yes(self.scan_of_memory(&scan)?)),
            other => Ok(Transformed::no(other)),
        });
        moved.unwrap().data
    }

    fn scan_of_memory(&self, scan: &TableScan) -> datafusion::error::Result<LogicalPlan> {
        let source = provider_as_source(Arc::clone(&self.memory[&key(&scan.table_name)]));
        let mut plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?;
        if let Some(filter) = conjunction(scan.filters.clone()) {
            plan = plan.filter(filter)?;
        }
        if let Some(kept) = &scan.projection {
            let all = plan.schema().columns();
            plan = plan.project(kept.iter().map(|position| Expr::Column(all[*position].clone())))?;
        }
        plan.limit(0, scan.fetch)?.build()
    }
}

/// The one name of a table, however much of it is said.
fn key(name: &TableReference) -> String {
    name.clone().resolve("datafusion", "public").to_string()
}

/// Who evaluates over all tables of a plan.
fn evaluator(plan: &LogicalPlan) -> Option<Arc<dyn Evaluates>> {
    let (mut found, mut has_others) = (None, false);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match evaluator_of(scan) {
                Some(evaluator) => found = Some(evaluator),
                None => has_others = true,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found.filter(|_| !has_others)
}

/// Every table that has a name of three parts.
fn tables_of(dataset: &Dataset) -> Vec<TableReference> {
    let name = |table: &Table| TableReference::full(table.site.as_str(), table.source.as_str(), table.name.as_str());
    dataset.tables.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_statements_are_answered_by_the_file() {
    let local = super::corpus::session_with_tables(session()).await;
    let names = ["t1", "t2", "t3", "Odd 表", "n0"].map(TableReference::bare);
    let twins = Twins::of(&local, names.to_vec()).await;
    let mut tally = Tally::default();
    for case in super::corpus::statements() {
        if let Some(plan) = optimized(&twins.asked, &case.sql).await {
            twins.compare_with_subtrees(&mut tally, &case.sql, &plan).await;
        }
    }
    tally.finish(100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_is_answered_by_the_file() {
    let dataset = edge().await.unwrap();
    let local = local_context(&dataset).await.unwrap();
    let twins = Twins::of(&local, tables_of(&dataset)).await;
    let mut tally = Tally::default();
    for statement in corpus() {
        if let Some(plan) = optimized(&twins.asked, &statement.sql).await {
            twins.compare_with_subtrees(&mut tally, &statement.name, &plan).await;
        }
    }
    tally.finish(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_are_answered_by_the_file() {
    let mut tally = Tally::default();
    for seed in 0..2 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (dataset, tables) = harness::random::data::dataset(&mut rng).unwrap();
        let local = local_context(&dataset).await.unwrap();
        let twins = Twins::of(&local, tables_of(&dataset)).await;
        for _ in 0..60 {
            let sql = harness::random::generate::statement(&mut rng, &tables).sql();
            if let Some(plan) = optimized(&twins.asked, &sql).await {
                twins.compare_with_subtrees(&mut tally, &format!("seed {seed}: {sql}"), &plan).await;
            }
        }
    }
    tally.finish(200);
}

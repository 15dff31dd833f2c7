//! The PostgreSQL dialect against a real server: every plan and every subtree that may be written is asked of the server,
//! and answered as DataFusion answers it. The server orders text by a language, unlike a site, and stores what it stores.

mod server;

use std::sync::Arc;

use connectors::statement::{Accepts, Refusal, StoredTables, write_for_postgres};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::prelude::SessionContext;
use harness::dataset::local_context;
use harness::edge::edge;
use harness::statements::{corpus, tpch_queries};
use harness::tpch::tpch;
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::server::Server;
use super::differential::{Tally, canonical, optimized};
use super::{proper_subtrees, prove, session};

/// Of TPC-H: 60,000 rows of lineitem.
const SCALE: f64 = 0.01;

/// Asks the server for `plan`, if it may be asked.
async fn compare(tally: &mut Tally, ctx: &SessionContext, server: &Server, name: &str, plan: &LogicalPlan) {
    let text = match written(plan) {
        Ok(text) => text,
        Err(refusal) => return tally.refuse(&refusal),
    };
    // The twin: what is used is proven.
    if let Err(refusal) = prove(ctx, plan).await {
        return tally.refuse(&Refusal::new("not proven", refusal.to_string()));
    }
    tally.compare(name, plan, &text, rows(ctx, plan).await, server.ask(&text, plan.schema().as_arrow()));
}

async fn compare_with_subtrees(
    tally: &mut Tally,
    ctx: &SessionContext,
    server: &Server,
    name: &str,
    plan: &LogicalPlan,
) {
    compare(tally, ctx, server, name, plan).await;
    for subtree in proper_subtrees(plan) {
        compare(tally, ctx, server, name, &subtree).await;
    }
}

fn written(plan: &LogicalPlan) -> Result<String, Refusal> {
    if plan.schema().fields().is_empty() {
        return Err(Refusal::new("statement", "has no columns"));
    }
    if !plan.schema().fields().iter().all(|field| server::stores_exactly(field.data_type())) {
        return Err(Refusal::new("statement", "gives a column that the server does not store exactly"));
    }
    let named = with_names_of_the_server(plan.clone());
    Ok(write_for_postgres(&named, &Accepts::postgres(), &StoredTables::default())?.text)
}

/// `a.b.t` is the table `t` of the server's schema `a.b`.
fn with_names_of_the_server(plan: LogicalPlan) -> LogicalPlan {
    let bare = |filter: Expr| {
        filter
            .transform(|part| match part {
                Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
                other => Ok(Transformed::no(other)),
            })
            .unwrap()
            .data
    };
    let named = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => Ok(Transformed::yes(LogicalPlan::TableScan(TableScan {
            table_name: server_name(&scan.table_name),
            filters: scan.filters.iter().cloned().map(bare).collect(),
            ..scan
        }))),
        other => Ok(Transformed::no(other)),
    });
    named.unwrap().data
}

fn server_name(name: &TableReference) -> TableReference {
    let schema = match (name.catalog(), name.schema()) {
        (Some(catalog), Some(schema)) => format!("{catalog}.{schema}"),
        (_, schema) => schema.unwrap_or("public").to_string(),
    };
    TableReference::partial(schema, name.table())
}

/// The same plan with the filters of its scans said above them: a file gives more rows than its filters ask for.
fn with_scan_filters(plan: LogicalPlan) -> LogicalPlan {
    let filtered = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) => match conjunction(scan.filters.clone()) {
            Some(filter) => Ok(Transformed::yes(LogicalPlanBuilder::from(node).filter(filter)?.build()?)),
            None => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    });
    filtered.unwrap().data
}

async fn rows(ctx: &SessionContext, plan: &LogicalPlan) -> Result<Vec<Vec<String>>, String> {
    let run = async { ctx.execute_logical_plan(with_scan_filters(plan.clone())).await?.collect().await };
    Ok(canonical(&run.await.map_err(|error| error.to_string())?))
}

/// Every table that `plans` read, as the server has it.
async fn load(ctx: &SessionContext, server: &Server, plans: &[LogicalPlan]) {
    let mut loaded = vec![];
    for plan in plans {
        let mut names = vec![];
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                names.push(scan.table_name.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        for name in names {
            if !loaded.contains(&server_name(&name)) {
                let table = ctx.table(name.clone()).await.unwrap();
                let schema = Arc::clone(table.schema().inner());
                server.load(&server_name(&name), &schema, &table.collect().await.unwrap());
                loaded.push(server_name(&name));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_is_answered_by_the_server() {
    let (ctx, server) = (local_context(&tpch(SCALE).unwrap()).await.unwrap(), Server::start());
    let mut plans = vec![];
    for query in tpch_queries() {
        plans.push((query.name, optimized(&ctx, &query.sql).await.unwrap()));
    }
    load(&ctx, &server, &plans.iter().map(|(_, plan)| plan.clone()).collect::<Vec<_>>()).await;
    let mut tally = Tally::default();
    for (name, plan) in &plans {
        compare_with_subtrees(&mut tally, &ctx, &server, name, plan).await;
    }
    tally.finish(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_statements_are_answered_by_the_server() {
    let (ctx, server) = (super::corpus::session_with_tables(session()).await, Server::start());
    let mut plans = vec![];
    for case in super::corpus::statements() {
        plans.extend(optimized(&ctx, &case.sql).await.map(|plan| (case.sql, plan)));
    }
    plans.retain(|(_, plan)| server::stores_all(plan));
    load(&ctx, &server, &plans.iter().map(|(_, plan)| plan.clone()).collect::<Vec<_>>()).await;
    let mut tally = Tally::default();
    for (name, plan) in &plans {
        compare_with_subtrees(&mut tally, &ctx, &server, name, plan).await;
    }
    tally.finish(100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_is_answered_by_the_server() {
    let dataset = edge().await.unwrap();
    let (ctx, server) = (local_context(&dataset).await.unwrap(), Server::start());
    let mut plans = vec![];
    for statement in corpus() {
        plans.extend(optimized(&ctx, &statement.sql).await.map(|plan| (statement.name, plan)));
    }
    plans.retain(|(_, plan)| server::stores_all(plan));
    load(&ctx, &server, &plans.iter().map(|(_, plan)| plan.clone()).collect::<Vec<_>>()).await;
    let mut tally = Tally::default();
    for (name, plan) in &plans {
        compare_with_subtrees(&mut tally, &ctx, &server, name, plan).await;
    }
    tally.finish(300);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_are_answered_by_the_server() {
    let mut tally = Tally::default();
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (dataset, tables) = harness::random::data::dataset(&mut rng).unwrap();
        let (ctx, server) = (local_context(&dataset).await.unwrap(), Server::start());
        let mut plans = vec![];
        for _ in 0..60 {
            let sql = harness::random::generate::statement(&mut rng, &tables).sql();
            plans.extend(optimized(&ctx, &sql).await.map(|plan| (sql, plan)));
        }
        plans.retain(|(_, plan)| server::stores_all(plan));
        load(&ctx, &server, &plans.iter().map(|(_, plan)| plan.clone()).collect::<Vec<_>>()).await;
        for (sql, plan) in &plans {
            compare_with_subtrees(&mut tally, &ctx, &server, &format!("seed {seed}: {sql}"), plan).await;
        }
    }
    tally.finish(200);
}

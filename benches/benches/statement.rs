//! What it costs to write a fragment as a statement and to prove it, beside planning the same query once.

use std::hint::black_box;

use connectors::statement::{Accepts, check, write};
use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;

/// TPC-H Q3's shape: two joins, filters, an aggregate, a top-N.
const QUERY: &str = "SELECT l.orderkey, sum(l.price * (1 - l.discount)) AS revenue, o.day, o.priority \
    FROM customer c JOIN orders o ON c.custkey = o.custkey JOIN lineitem l ON l.orderkey = o.orderkey \
    WHERE c.segment = 'BUILDING' AND o.day < DATE '1995-03-15' AND l.shipped > DATE '1995-03-15' \
    GROUP BY l.orderkey, o.day, o.priority ORDER BY revenue DESC, o.day LIMIT 10";

const TABLES: [&str; 3] = [
    "CREATE TABLE customer (custkey BIGINT, segment VARCHAR)",
    "CREATE TABLE orders (orderkey BIGINT, custkey BIGINT, day DATE, priority INT)",
    "CREATE TABLE lineitem (orderkey BIGINT, price DECIMAL(15, 2), discount DECIMAL(15, 2), shipped DATE)",
];

async fn context() -> SessionContext {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let ctx = SessionContext::new_with_config(config);
    for table in TABLES {
        ctx.sql(table).await.expect("a table").collect().await.expect("an empty table");
    }
    ctx
}

async fn analyzed(ctx: &SessionContext, sql: &str) -> LogicalPlan {
    let state = ctx.state();
    let plan = state.create_logical_plan(sql).await.expect("a plan");
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).expect("an analyzed plan")
}

fn statement(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let ctx = runtime.block_on(context());
    let state = ctx.state();
    let plan = runtime.block_on(analyzed(&ctx, QUERY));
    let fragment = state.optimize(&plan).expect("an optimized plan");
    let accepts = Accepts::default();
    let text = write(&fragment, &accepts).expect("a statement").text;
    let planned = runtime.block_on(analyzed(&ctx, &text));
    check(&fragment, &planned).expect("the statement says what the fragment says");

    let mut group = criterion.benchmark_group("statement");
    group.bench_function("plan the query", |bencher| {
        bencher.iter(|| {
            let plan = runtime.block_on(analyzed(&ctx, black_box(QUERY)));
            ctx.state().optimize(&plan)
        });
    });
    group.bench_function("write", |bencher| bencher.iter(|| write(black_box(&fragment), &accepts)));
    group.bench_function("read back", |bencher| bencher.iter(|| runtime.block_on(analyzed(&ctx, black_box(&text)))));
    group.bench_function("check", |bencher| bencher.iter(|| check(black_box(&fragment), &planned)));
    group.finish();
}

criterion_group!(benches, statement);
criterion_main!(benches);

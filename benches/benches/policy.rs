//! Where the time of a governed statement goes before its first row: one join of 20 tables under 500 policies, on tables
//! and on their schema, on names and on tags, for several purposes.
//!
//! ```text
//! decide            20 decisions
//! treat             20 decisions → 20 views under barriers
//! optimize          parse, bind to those views, DataFusion's logical rules
//! plan at the site  what may cross the barriers, operators, DataFusion's physical rules, the proof
//! verify            the proof alone
//! whole             all of it; beside it the same statement over the bare tables
//! ```

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use engine::config::Limits;
use engine::exec::physical_rules;
use engine::plan::at_site::plan_at_site;
use engine::plan::verify_barriers::{RegisteredBarriers, verify_barriers};
use engine::site::policies::tables::TableSnapshot;
use policy::barrier::{BarrierId, Governed, PolicyBarrier};
use policy::decide::{Question, decide};
use policy::decision::Decision;
use policy::pseudonym::{PseudonymHash, PseudonymKeys};
use policy::resource::TableName;
use policy::set::{Baselines, File, Made, PolicySet};
use policy::subject::{Attribute, Subject};
use policy::time::Instant;
use policy::value::Value;
use policy::view::treat;
use tokio::runtime::Runtime;

const TABLES: usize = 20;
const POLICIES: usize = 500;
const PURPOSE: &str = "epidemiology";

/// A site: its policies, one asker, and its tables, which are empty.
struct Site {
    set: PolicySet,
    subject: Subject,
    schema: SchemaRef,
    keys: PseudonymKeys,
    names: Vec<TableName>,
    bare: Vec<Arc<dyn TableProvider>>,
    sql: String,
}

/// A treated table under its barrier, and what it stands for.
type Treated = (Arc<Governed>, LogicalPlan);

impl Site {
    fn new() -> Self {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let mut fields = vec![Field::new("id", DataType::Int64, true), text("person"), text("region")];
        fields.push(Field::new("amount", DataType::Int64, true));
        fields.extend((0..8).map(|column| text(&format!("c{column}"))));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let names: Vec<_> = (0..TABLES).map(|table| TableName::new("source", format!("t{table}"))).collect();
        let tables: TableSnapshot = names.iter().map(|name| (name.clone(), Arc::clone(&schema))).collect();
        let made = Made { author: "(files)".to_string(), at: Instant(0) };
        let text = statements();
        let files = [File { name: "policy.sql", text: &text }];
        let set = PolicySet::from_files(&files, "site", (&made, &tables), &Baselines::default()).expect("policies");
        assert_eq!(set.policies.len(), POLICIES);
        let regions = vec![Value::Text("north".to_string()), Value::Text("east".to_string())];
        let subject = Subject {
            name: "ana".to_string(),
            roles: (0..4).map(|role| format!("r{role}")).collect(),
            attributes: [("regions".to_string(), Attribute::Many(regions))].into(),
            purposes: [PURPOSE.to_string()].into(),
            ..Subject::default()
        };
        let empty = || MemTable::try_new(Arc::clone(&schema), vec![vec![]]).expect("an empty table");
        let bare = (0..TABLES).map(|_| Arc::new(empty()) as Arc<dyn TableProvider>).collect();
        let keys = PseudonymKeys::new(&[7; 32], PseudonymHash::Sha256, 1).expect("a secret");
        Self { set, subject, schema, keys, names, bare, sql: statement() }
    }

    fn decide(&self) -> Vec<Decision> {
        let of_one = |table| {
            let purpose = Some(PURPOSE);
            let question = Question { subject: &self.subject, purpose, table, schema: &self.schema, now: Instant(1) };
            decide(&self.set, &question).expect("granted")
        };
        self.names.iter().map(of_one).collect()
    }

    fn treat(&self, decisions: Vec<Decision>) -> Vec<Treated> {
        let of_one = |((decision, bare), id): ((Decision, &Arc<dyn TableProvider>), u64)| {
            let scan =
                LogicalPlanBuilder::scan(decision.table.table.as_str(), provider_as_source(Arc::clone(bare)), None);
            let scan = scan.and_then(LogicalPlanBuilder::build).expect("a scan");
            let inside = treat(&decision, scan, Some(&self.keys)).expect("a treated table");
            let governed = Arc::new(Governed { table: decision.table.clone(), decision, id: BarrierId(id) });
            (Arc::clone(&governed), PolicyBarrier::new(governed, inside).into_plan())
        };
        decisions.into_iter().zip(&self.bare).zip(0..).map(of_one).collect()
    }
}

/// One grant for the whole of which the purpose is a part; for each table 20 policies, on names and on tags, for roles of
/// which the asker has four, some for other purposes; and 100 on the schema.
fn statements() -> String {
    let mut text = format!(
        "CREATE PURPOSE research;\nCREATE PURPOSE {PURPOSE} UNDER research;\nCREATE PURPOSE billing;\n\
         CREATE TAG class VALUES ('personal', 'other');\n\
         GRANT SELECT ON SCHEMA source TO ROLE r0 FOR PURPOSE research;\n"
    );
    let mut policies = Vec::new();
    for table in 0..TABLES {
        for column in 0..4 {
            let _ = writeln!(text, "ALTER TABLE source.t{table} ALTER COLUMN c{column} SET TAG class = 'personal';");
        }
        let on = format!("ON TABLE source.t{table}");
        policies.push(format!("{on} ROW FILTER (region IN attribute('regions')) TO ALL"));
        policies.push(format!("{on} COLUMN MASK pseudonym('person') COLUMNS (person) TO ALL EXCEPT ROLE registrar"));
        // For others: the statement sums it over a join.
        let release = "(MIN GROUP 5 ENTITY person BOUNDS 0 TO 100 GROUP BY (region))";
        policies.push(format!("{on} AGGREGATE ONLY {release} COLUMNS (amount) TO ROLE r9"));
        policies.extend((0..12).map(|role| {
            let purpose = ["", " FOR PURPOSE research", " FOR PURPOSE billing"][role % 3];
            format!("{on} COLUMN MASK show_first(1) COLUMNS (c{}) TO ROLE r{role}{purpose}", role % 8)
        }));
        policies.extend((0..5).map(|role| format!("{on} COLUMN MASK show_first(1) {TAGGED} TO ROLE r{role}")));
    }
    let schema = "ON SCHEMA source COLUMN MASK show_first(1)";
    policies.extend((0..60).map(|role| format!("{schema} COLUMNS (c{}) TO ROLE r{role}", role % 8)));
    policies.extend((0..40).map(|role| format!("{schema} {TAGGED} TO ROLE r{role} FOR PURPOSE research")));
    for (name, policy) in policies.iter().enumerate() {
        let _ = writeln!(text, "CREATE POLICY p{name} {policy};");
    }
    text
}

const TAGGED: &str = "MATCH COLUMNS has_tag('class', 'personal')";

fn statement() -> String {
    let mut sql = "SELECT t0.region, count(*) AS n, sum(t1.amount) AS total, min(t2.c0) AS least FROM t0".to_string();
    for table in 1..TABLES {
        let _ = write!(sql, " JOIN t{table} ON t{table}.id = t{}.id", table - 1);
    }
    sql + " WHERE t0.amount > 10 AND t3.c1 LIKE 'a%' GROUP BY t0.region ORDER BY total DESC LIMIT 10"
}

fn session() -> SessionContext {
    let state = SessionStateBuilder::new().with_config(SessionConfig::new().with_target_partitions(2));
    let state = state.with_default_features().with_physical_optimizer_rules(physical_rules(&Limits::default())).build();
    SessionContext::new_with_state(state)
}

/// Puts tables in the place of those of the statement before.
fn register(ctx: &SessionContext, tables: impl Iterator<Item = Arc<dyn TableProvider>>) {
    for (number, table) in tables.enumerate() {
        let name = format!("t{number}");
        ctx.deregister_table(name.as_str()).expect("a schema");
        ctx.register_table(name.as_str(), table).expect("a free name");
    }
}

fn register_treated(ctx: &SessionContext, treated: &[Treated]) {
    let view = |(_, plan): &Treated| Arc::new(ViewTable::new(plan.clone(), None)) as Arc<dyn TableProvider>;
    register(ctx, treated.iter().map(view));
}

fn barriers(treated: &[Treated]) -> RegisteredBarriers {
    RegisteredBarriers::new(treated.iter().map(|(governed, _)| Arc::clone(governed)))
}

async fn optimized(ctx: &SessionContext, sql: &str) -> LogicalPlan {
    let state = ctx.state();
    let plan = state.create_logical_plan(sql).await.expect("a plan");
    state.optimize(&plan).expect("an optimized plan")
}

async fn planned(ctx: &SessionContext, plan: LogicalPlan, barriers: &RegisteredBarriers) -> Arc<dyn ExecutionPlan> {
    plan_at_site(&ctx.state(), plan, barriers).await.expect("a verified plan")
}

fn policy(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let site = Site::new();
    let (governed, bare) = (session(), session());
    let decisions = site.decide();
    let treated = site.treat(decisions.clone());
    let registered = barriers(&treated);
    register_treated(&governed, &treated);
    register(&bare, site.bare.iter().cloned());
    let logical = runtime.block_on(optimized(&governed, &site.sql));
    let physical = runtime.block_on(planned(&governed, logical.clone(), &registered));

    let mut group = criterion.benchmark_group("policy, 20 tables, 500 policies");
    group.sample_size(20);
    group.bench_function("decide", |bencher| bencher.iter(|| black_box(&site).decide()));
    group.bench_function("treat", |bencher| bencher.iter(|| site.treat(black_box(decisions.clone()))));
    group.bench_function("optimize", |bencher| bencher.iter(|| runtime.block_on(optimized(&governed, &site.sql))));
    group.bench_function("plan at the site", |bencher| {
        bencher.iter(|| runtime.block_on(planned(&governed, black_box(logical.clone()), &registered)));
    });
    group.bench_function("verify", |bencher| bencher.iter(|| verify_barriers(black_box(&physical), &registered)));
    group.bench_function("whole", |bencher| {
        bencher.iter(|| {
            let treated = site.treat(site.decide());
            register_treated(&governed, &treated);
            let registered = barriers(&treated);
            runtime.block_on(async { planned(&governed, optimized(&governed, &site.sql).await, &registered).await })
        });
    });
    group.bench_function("whole, without policy", |bencher| {
        bencher.iter(|| {
            register(&bare, site.bare.iter().cloned());
            runtime.block_on(async {
                let (plan, state) = (optimized(&bare, &site.sql).await, bare.state());
                state.query_planner().create_physical_plan(&plan, &state).await.expect("a plan")
            })
        });
    });
    group.finish();
}

criterion_group!(benches, policy);
criterion_main!(benches);

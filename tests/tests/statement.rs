//! The statement generator against DataFusion itself: written, proven, executed, and planted faults found.
//!
//! Every plan here is optimized as a coordinator would, written as text, planned again as a site would, checked and
//! executed; so is every proper subtree of it. The expected answer is always the original statement's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use connectors::statement::{Accepts, Refusal, check, refuse, write};
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use harness::dataset::local_context;
use harness::oracle::{compare_values, local_answer};

mod corpus;
mod differential;
mod faults;
#[cfg(feature = "postgres")]
mod postgres;
mod pushing;
mod sqlite;
mod whole_queries;

/// The plan of a statement's text as [`check`] wants it: parsed and bound by `SqlToRel`, then the analyzer's rules
/// (`ResolveGroupingFunction`, which says `grouping()` by the number of the set, and `TypeCoercion`), and nothing of
/// the optimizer. The session reads text literals and Parquet strings without view types and folds no quoted name.
async fn plan_text(ctx: &SessionContext, text: &str) -> Result<LogicalPlan> {
    let state = ctx.state();
    let plan = state.create_logical_plan(text).await?;
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

fn session() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(2)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        // With it, DataFusion 55.2 loses rows of a top-N over a union: see `harness::dataset`.
        .set_bool("datafusion.optimizer.enable_topk_dynamic_filter_pushdown", false);
    SessionContext::new_with_config(config)
}

async fn tpch_session() -> SessionContext {
    use tpchgen::generators as rows;
    use tpchgen_arrow as columns;
    const SCALE: f64 = 0.01;
    let ctx = session();
    let register = |name: &str, batches: Vec<RecordBatch>| {
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        ctx.register_table(name, Arc::new(table)).unwrap();
    };
    register("customer", columns::CustomerArrow::new(rows::CustomerGenerator::new(SCALE, 1, 1)).collect());
    register("orders", columns::OrderArrow::new(rows::OrderGenerator::new(SCALE, 1, 1)).collect());
    register("lineitem", columns::LineItemArrow::new(rows::LineItemGenerator::new(SCALE, 1, 1)).collect());
    register("part", columns::PartArrow::new(rows::PartGenerator::new(SCALE, 1, 1)).collect());
    register("partsupp", columns::PartSuppArrow::new(rows::PartSuppGenerator::new(SCALE, 1, 1)).collect());
    register("supplier", columns::SupplierArrow::new(rows::SupplierGenerator::new(SCALE, 1, 1)).collect());
    register("nation", columns::NationArrow::new(rows::NationGenerator::new(SCALE, 1, 1)).collect());
    register("region", columns::RegionArrow::new(rows::RegionGenerator::new(SCALE, 1, 1)).collect());
    ctx
}

fn tpch_queries() -> Vec<(String, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/tpch");
    let mut queries: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    queries.sort();
    assert_eq!(queries.len(), 22);
    queries
}

/// Writes and proves `plan`; the text, or why not.
async fn prove(ctx: &SessionContext, plan: &LogicalPlan) -> std::result::Result<String, Refusal> {
    let accepts = Accepts::default();
    let statement = write(plan, &accepts)?;
    let planned = plan_text(ctx, &statement.text).await.map_err(|error| {
        Refusal::new("planning", format!("{}\n{}\n{}", error.strip_backtrace(), statement.text, plan.display_indent()))
    })?;
    check(plan, &planned).map_err(|refusal| {
        Refusal::new(
            format!("check: {}", refusal.operator),
            format!("{}\n{}\n{}\n{}", refusal.reason, statement.text, plan.display_indent(), planned.display_indent()),
        )
    })?;
    assert!(
        plan.apply_with_subqueries(|node| {
            assert_eq!(refuse(node, &accepts), None, "a written plan holds a refused node: {}", node.display());
            Ok(TreeNodeRecursion::Continue)
        })
        .is_ok()
    );
    Ok(statement.text)
}

/// An answer without names: its types, and its rows as text.
#[derive(Debug, PartialEq)]
struct Answer {
    types: Vec<DataType>,
    rows: Vec<Vec<String>>,
}

impl Answer {
    fn of(types: Vec<DataType>, batches: &[RecordBatch]) -> Self {
        let options = FormatOptions::default().with_null("∅");
        let mut rows = vec![];
        for batch in batches {
            let formats: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let cells = formats.iter().zip(&types).map(|(format, data_type)| {
                    let text = format.value(row).to_string();
                    // The last digits of a sum of floats depend on the order of the rows.
                    match (data_type, text.parse::<f64>()) {
                        (DataType::Float64, Ok(number)) => format!("{number:.8e}"),
                        _ => text,
                    }
                });
                rows.push(cells.collect());
            }
        }
        Self { types, rows }
    }

    fn sorted(mut self) -> Self {
        self.rows.sort();
        self
    }
}

/// Runs `plan`; `width` drops the marker column of a relation without columns.
async fn run(ctx: &SessionContext, plan: LogicalPlan, width: usize) -> Result<Answer> {
    let types = plan.schema().fields().iter().take(width).map(|field| field.data_type().clone()).collect();
    let batches = ctx.execute_logical_plan(plan).await?.collect().await?;
    let kept: Vec<usize> = (0..width).collect();
    let batches = batches.iter().map(|batch| batch.project(&kept)).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Answer::of(types, &batches))
}

/// Writes, proves and runs `plan`, and compares the answers.
async fn same_answer(
    ctx: &SessionContext,
    name: &str,
    plan: &LogicalPlan,
    ordered: bool,
) -> std::result::Result<(), Refusal> {
    let text = prove(ctx, plan).await?;
    let width = plan.schema().fields().len();
    let expected = run(ctx, plan.clone(), width).await;
    let written = ctx.state().create_logical_plan(&text).await.unwrap();
    let answer = run(ctx, written, width).await;
    match (expected, answer) {
        (Ok(expected), Ok(answer)) if ordered => assert_eq!(expected, answer, "{name}\n{text}"),
        (Ok(expected), Ok(answer)) => {
            assert_eq!(expected.sorted(), answer.sorted(), "{name}\n{text}")
        }
        (Err(_), Err(_)) => {}
        (expected, answer) => panic!("{name}\n{text}\nexpected {expected:?}\nanswered {answer:?}"),
    }
    Ok(())
}

/// A limit without a total order below it may take any rows.
fn takes_any_rows(plan: &LogicalPlan) -> bool {
    plan.exists(|node| {
        Ok(match node {
            LogicalPlan::Limit(_) | LogicalPlan::Window(_) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            LogicalPlan::TableScan(scan) => scan.fetch.is_some(),
            _ => false,
        })
    })
    .unwrap()
}

fn proper_subtrees(plan: &LogicalPlan) -> Vec<LogicalPlan> {
    let mut subtrees = vec![];
    plan.apply_with_subqueries(|node| {
        if node != plan && !matches!(node, LogicalPlan::Subquery(_)) {
            subtrees.push(node.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    subtrees
}

/// What may not be written, and why; everything else must be.
fn is_known_refusal(refusal: &Refusal) -> bool {
    let known = [
        ("mark join", "its mark outlives the filter above it"),
        ("join", "null-aware with more than one key"),
        ("recursive query", "is not accepted by the far side"),
        ("unnest", "is not accepted by the far side"),
    ];
    known.contains(&(refusal.operator.as_str(), refusal.reason.as_str()))
}

#[tokio::test]
async fn tpch_queries_answer_as_they_were_written() {
    let ctx = tpch_session().await;
    let mut refused = vec![];
    for (name, sql) in tpch_queries() {
        let plan = ctx.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
        if let Err(refusal) = same_answer(&ctx, &name, &plan, true).await {
            refused.push(format!("{name}: {refusal}"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
}

#[tokio::test]
async fn every_subtree_of_tpch_is_a_fragment() {
    let ctx = tpch_session().await;
    let mut refused = vec![];
    for (name, sql) in tpch_queries() {
        let plan = ctx.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
        for subtree in proper_subtrees(&plan) {
            match prove(&ctx, &subtree).await {
                Err(refusal) if !is_known_refusal(&refusal) => refused.push(format!("{name}: {refusal}")),
                _ => {}
            }
        }
    }
    assert!(refused.is_empty(), "{} refused\n{}", refused.len(), refused.join("\n\n"));
}

#[tokio::test]
async fn hard_statements_answer_as_they_were_written() {
    let ctx = corpus::session_with_tables(session()).await;
    let mut refused = vec![];
    for case in corpus::statements() {
        let plan = match ctx.sql(&case.sql).await.and_then(|frame| frame.into_optimized_plan()) {
            Ok(plan) => plan,
            Err(error) => panic!("{}: {error}", case.sql),
        };
        if let Err(refusal) = same_answer(&ctx, &case.sql, &plan, case.ordered).await {
            refused.push(format!("{}: {refusal}", case.sql));
        }
    }
    assert!(refused.is_empty(), "{} refused\n{}", refused.len(), refused.join("\n\n"));
}

#[tokio::test]
async fn every_subtree_of_hard_statements_is_a_fragment() {
    let ctx = corpus::session_with_tables(session()).await;
    let (mut refused, mut proven) = (vec![], 0);
    for case in corpus::statements() {
        let plan = ctx.sql(&case.sql).await.unwrap().into_optimized_plan().unwrap();
        for subtree in proper_subtrees(&plan) {
            let proof = match takes_any_rows(&subtree) {
                true => prove(&ctx, &subtree).await.map(|_| ()),
                false => same_answer(&ctx, &case.sql, &subtree, false).await,
            };
            match proof {
                Ok(()) => proven += 1,
                Err(refusal) if is_known_refusal(&refusal) => {}
                Err(refusal) => refused.push(format!("{}: {refusal}", case.sql)),
            }
        }
    }
    assert!(refused.is_empty(), "{} refused\n{}", refused.len(), refused.join("\n\n"));
    assert!(proven > 200, "only {proven} subtrees");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_name() {
    let ctx = corpus::session_with_tables(session()).await;
    for (sql, operator) in corpus::refused_statements() {
        let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let refusal = write(&plan, &Accepts::default()).unwrap_err();
        assert_eq!(refusal.operator, operator, "{sql}\n{refusal}");
    }
}

#[tokio::test]
async fn budgets_and_missing_names_are_refused() {
    let ctx = corpus::session_with_tables(session()).await;
    let sql = "SELECT b, sum(a) FROM t1 GROUP BY b ORDER BY 2 DESC LIMIT 3";
    let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let refusal = |change: fn(&mut Accepts)| {
        let mut accepts = Accepts::default();
        change(&mut accepts);
        write(&plan, &accepts).unwrap_err().to_string()
    };
    assert_eq!(refusal(|accepts| accepts.steps_max = 1), "statement: has more steps than the far side accepts");
    assert_eq!(refusal(|accepts| accepts.text_bytes_max = 10), "statement: is longer than the far side accepts");
    let no_sum = refusal(|accepts| assert!(accepts.aggregate_functions.remove("sum")));
    assert_eq!(no_sum, "sum: is an aggregate that the far side does not accept");
    let no_sort = refusal(|accepts| assert!(accepts.operators.remove("sort")));
    assert_eq!(no_sort, "sort: is not accepted by the far side");
}

#[tokio::test]
async fn scan_filters_and_limits_are_always_said() {
    let ctx = corpus::session_with_tables(session()).await;
    pushing::push_down_into(&ctx, "t1").await;
    for sql in [
        "SELECT b FROM t1 WHERE a > 2",
        "SELECT count(*) FROM t1 WHERE a > 2 AND b = 'x'",
        "SELECT t1.a, t2.x FROM t1 LEFT JOIN t2 ON t1.a = t2.a AND t2.x > 1 WHERE t1.a < 5",
    ] {
        let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        assert!(plan.display_indent().to_string().contains("full_filters=["), "{}", plan.display_indent());
        same_answer(&ctx, sql, &plan, false).await.unwrap();
        let text = write(&plan, &Accepts::default()).unwrap().text;
        let planned = plan_text(&ctx, &text).await.unwrap();
        let dropped: Vec<_> =
            faults::mutants(&plan).into_iter().filter(|(fault, _)| *fault == "filter dropped").collect();
        assert!(!dropped.is_empty());
        for (_, mutant) in dropped {
            assert!(check(&mutant, &planned).is_err(), "{}\n{}", plan.display_indent(), mutant.display_indent());
        }
    }
    let plan = ctx.sql("SELECT a FROM t1 LIMIT 2").await.unwrap().into_optimized_plan().unwrap();
    let text = prove(&ctx, &plan).await.unwrap();
    assert!(text.ends_with("LIMIT 2"), "{text}");
}

/// The corpus of the whole project, over Parquet files whose scans take filters: proven, run, and compared.
#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_answers_as_it_was_written() {
    let dataset = harness::edge::edge().await.unwrap();
    let ctx = local_context(&dataset).await.unwrap();
    let (mut faults, mut proven) = (vec![], 0);
    for statement in harness::statements::corpus() {
        let plan = ctx.sql(&statement.sql).await.and_then(|frame| frame.into_optimized_plan());
        let Ok(plan) = plan else { continue };
        let text = match prove(&ctx, &plan).await {
            Ok(text) => text,
            Err(refusal) if is_known_refusal(&refusal) => continue,
            Err(refusal) => {
                faults.push(format!("{}: {refusal}", statement.name));
                continue;
            }
        };
        for subtree in proper_subtrees(&plan) {
            match prove(&ctx, &subtree).await {
                Err(refusal) if !is_known_refusal(&refusal) => faults.push(format!("{}: {refusal}", statement.name)),
                _ => {}
            }
        }
        proven += 1;
        let (Ok(expected), Ok(answered)) = (local_answer(&ctx, &statement.sql).await, local_answer(&ctx, &text).await)
        else {
            continue;
        };
        if let Err(fault) = compare_values(&expected, &answered, statement.promise) {
            faults.push(format!("{}: {fault}\n{text}", statement.name));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n\n"));
    assert!(proven > 300, "only {proven} proven");
}

#[tokio::test]
async fn planted_faults_are_found() {
    let tpch = tpch_session().await;
    let hard = corpus::session_with_tables(session()).await;
    let tpch_cases = tpch_queries().into_iter().map(|(_, sql)| (&tpch, sql));
    let cases = tpch_cases.chain(corpus::statements().into_iter().map(|case| (&hard, case.sql)));
    let (mut planted, mut missed) = (BTreeMap::<&str, usize>::new(), vec![]);
    for (ctx, sql) in cases {
        let plan = ctx.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
        let text = write(&plan, &Accepts::default()).unwrap().text;
        let planned = plan_text(ctx, &text).await.unwrap();
        assert_eq!(check(&faults::rebuilt(&plan), &planned), Ok(()), "a plan without a fault is refused: {sql}");
        for (fault, mutant) in faults::mutants(&plan) {
            *planted.entry(fault).or_default() += 1;
            if check(&mutant, &planned).is_ok() {
                missed.push(format!("{fault} in {sql}\n{}\n{}", plan.display_indent(), mutant.display_indent()));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n\n"));
    for fault in faults::KINDS {
        assert!(planted.contains_key(fault), "no plan offers a place for: {fault}");
    }
    assert!(planted.values().sum::<usize>() > 500, "{planted:?}");
}

#[tokio::test]
async fn edits_of_a_text_are_found() {
    let tpch = tpch_session().await;
    let hard = corpus::session_with_tables(session()).await;
    let tpch_cases = tpch_queries().into_iter().map(|(_, sql)| (&tpch, sql));
    let cases = tpch_cases.chain(corpus::statements().into_iter().map(|case| (&hard, case.sql)));
    let (mut edited, mut missed) = (0, vec![]);
    for (ctx, sql) in cases {
        let plan = ctx.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
        let text = write(&plan, &Accepts::default()).unwrap().text;
        for edit in faults::edits(&text) {
            let Ok(planned) = plan_text(ctx, &edit).await else {
                continue;
            };
            edited += 1;
            if check(&plan, &planned).is_ok() {
                missed.push(format!("{text}\n{edit}"));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n\n"));
    assert!(edited > 900, "only {edited} edits are statements");
}

/// Long chains are flat: neither the parser's depth nor a thread's stack grows with them.
#[tokio::test]
async fn long_chains_are_flat() {
    let ctx = corpus::session_with_tables(session()).await;
    let mut frame = ctx.table("t1").await.unwrap();
    for step in 0..70 {
        let limited = frame.limit(0, Some(1000 - step)).unwrap();
        frame = limited.filter(col("a").not_eq(lit(100 + step as i64))).unwrap();
    }
    let plan = frame.into_optimized_plan().unwrap();
    let text = prove(&ctx, &plan).await.unwrap();
    assert!(write(&plan, &Accepts::default()).unwrap().steps > 60, "{text}");

    let alternatives: Vec<String> = (0..600).map(|number| format!("a % {} = {number}", number + 1000)).collect();
    let branches: Vec<String> = (0..300).map(|number| format!("SELECT a + {number} AS a FROM t1")).collect();
    for sql in [
        format!("SELECT b FROM t1 WHERE {}", alternatives.join(" OR ")),
        format!("SELECT b FROM t1 WHERE {}", alternatives.join(" AND ")),
        format!("SELECT a FROM ({})", branches.join(" UNION ALL ")),
    ] {
        let plan = ctx.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
        prove(&ctx, &plan).await.unwrap();
    }
}

/// A text says its types, its null order and its names: how a site is set up does not change what it means.
#[tokio::test]
async fn a_text_means_the_same_under_another_configuration() {
    let ours = corpus::session_with_tables(session()).await;
    let config = SessionConfig::new()
        .with_default_catalog_and_schema("datafusion", "public")
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", true)
        .set_str("datafusion.sql_parser.default_null_ordering", "nulls_min")
        .set_str("datafusion.execution.time_zone", "+05:30")
        .set_usize("datafusion.execution.batch_size", 3)
        .set_bool("datafusion.optimizer.enable_topk_dynamic_filter_pushdown", false)
        .set_usize("datafusion.execution.target_partitions", 5);
    let theirs = SessionContext::new_with_config(config);
    for name in ours.catalog("datafusion").unwrap().schema("public").unwrap().table_names() {
        let quoted = TableReference::bare(name);
        let table = ours.table_provider(quoted.clone()).await.unwrap();
        theirs.register_table(quoted, table).unwrap();
    }
    for case in corpus::statements() {
        let plan = ours.sql(&case.sql).await.unwrap().into_optimized_plan().unwrap();
        let text = write(&plan, &Accepts::default()).unwrap().text;
        let planned = plan_text(&theirs, &text).await.unwrap();
        assert_eq!(check(&plan, &planned), Ok(()), "{text}");
        let width = plan.schema().fields().len();
        let expected = run(&ours, plan, width).await;
        let answer = run(&theirs, theirs.state().create_logical_plan(&text).await.unwrap(), width).await;
        match (expected, answer) {
            (Ok(expected), Ok(answer)) => assert_eq!(expected.sorted(), answer.sorted(), "{text}"),
            (expected, answer) => assert!(expected.is_err() && answer.is_err(), "{text}\n{expected:?}\n{answer:?}"),
        }
    }
}

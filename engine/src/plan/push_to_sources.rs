//! What a site's sources evaluate themselves: every largest subtree whose tables are all of one evaluator becomes one scan.
//!
//! ```text
//! before   Sort(Aggregate(Join(Filter(Scan pg.orders), Scan pg.customer)))
//! after    Source: SELECT … FROM orders JOIN customer … GROUP BY … ORDER BY …
//! never    a scan with its columns and filters alone, which the source's own scan may read in parts;
//!          tables of two evaluators, or of a source that only hands out rows; anything above a barrier
//! ```
//!
//! A text is used only if it stands on two legs: its twin in DataFusion's dialect, of the same steps, has been proven, and
//! every expression in it is on the source's list. What is refused is cut smaller: a filter gives its source the conditions
//! that it takes, any other operator stays here over its inputs, which are tried each. A source whose list is not certain is
//! asked about each text, and what it refuses is cut smaller in another round.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use connectors::pushdown::{Evaluated, Evaluates, EvaluatorId, evaluator_of};
use connectors::statement::Refusal;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Extension, Filter, LogicalPlan};

use crate::error::Result;
use crate::plan::estimate::estimate_statistics;
use crate::plan::order::Order;
use crate::plan::prove::{Unsent, prove};
use crate::plan::source_node::SourceNode;

/// A plan in which sources evaluate what they can.
#[derive(Debug)]
pub struct PushedPlan {
    /// What is left for the site, with what sources evaluate as leaves.
    pub plan: LogicalPlan,
    /// Why subtrees of one evaluator were cut smaller than they are.
    pub unsent: Vec<Unsent>,
}

/// Gives sources what they can evaluate of `plan`, an optimized plan without barriers.
///
/// # Errors
/// Those of walking the plan; that a source refuses is none.
pub async fn push_to_sources(state: &SessionState, plan: LogicalPlan) -> Result<PushedPlan> {
    let mut answers = Answers::default();
    // INVARIANT: each round but the last asks about a text for the first time, and a plan has finitely many subtrees.
    loop {
        let mut pusher = Pusher { state, answers: &answers, unsent: Vec::new(), tried: Vec::new() };
        let pushed = pusher.push_statement(plan.clone())?;
        let Pusher { unsent, mut tried, .. } = pusher;
        tried.extend(sources(&pushed)?);
        if !answers.ask(tried).await? {
            return Ok(PushedPlan { plan: pushed, unsent });
        }
    }
}

/// A text, and who is to evaluate it.
type Tried = (Arc<dyn Evaluates>, Arc<Evaluated>);

/// What sources have answered about texts: why not, or nothing where they take one.
#[derive(Default)]
struct Answers(HashMap<(EvaluatorId, String), Option<Refusal>>);

impl Answers {
    fn refusal(&self, evaluator: &dyn Evaluates, text: &str) -> Option<&Refusal> {
        self.0.get(&(evaluator.id(), text.to_owned()))?.as_ref()
    }

    /// Asks about each text that was not asked about yet; whether one of them is refused.
    async fn ask(&mut self, tried: Vec<Tried>) -> Result<bool> {
        let mut is_any_refused = false;
        for (evaluator, evaluated) in tried {
            if let Entry::Vacant(answer) = self.0.entry((evaluator.id(), evaluated.text.clone())) {
                let refusal = evaluator.ask(&evaluated).await.map_err(DataFusionError::from)?;
                is_any_refused |= refusal.is_some();
                answer.insert(refusal);
            }
        }
        Ok(is_any_refused)
    }
}

/// What is evaluated by sources in a plan, in its subqueries too.
fn sources(plan: &LogicalPlan) -> DataFusionResult<Vec<Tried>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = node
            && let Some(source) = extension.node.as_any().downcast_ref::<SourceNode>()
        {
            found.push((Arc::clone(source.evaluator()), Arc::clone(source.evaluated())));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

struct Pusher<'a> {
    state: &'a SessionState,
    answers: &'a Answers,
    unsent: Vec<Unsent>,
    /// Texts that are not in the plan, and that it is good to know about.
    tried: Vec<Tried>,
}

impl Pusher<'_> {
    /// The order of a whole statement is the source's own, and nothing stands above it that could lose it.
    fn push_statement(&mut self, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
        match self.try_whole(&plan)? {
            Some(leaf) => Ok(leaf),
            None => self.push_inputs(plan),
        }
    }

    fn push(&mut self, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
        let order = Order::of(&plan);
        if order == Order::Hidden {
            return self.push_inputs(plan);
        }
        if let Some(leaf) = self.try_whole(&plan)? {
            return Ok(order.restored(leaf));
        }
        if let LogicalPlan::Filter(filter) = &plan
            && let Some(split) = self.split_filter(filter)?
        {
            return Ok(split);
        }
        self.push_inputs(plan)
    }

    /// The leaf for all of `plan`, if one evaluator takes it.
    fn try_whole(&mut self, plan: &LogicalPlan) -> DataFusionResult<Option<LogicalPlan>> {
        if is_plain_scan(plan) {
            return Ok(None);
        }
        let Some(evaluator) = evaluator_of_all(plan)? else { return Ok(None) };
        match self.evaluate(plan, &evaluator) {
            Ok(evaluated) => Ok(Some(leaf(evaluator, evaluated, plan))),
            Err(unsent) => {
                self.note(unsent);
                Ok(None)
            }
        }
    }

    /// The list is asked first, for it refuses more often than the proof.
    fn evaluate(
        &self,
        plan: &LogicalPlan,
        evaluator: &Arc<dyn Evaluates>,
    ) -> std::result::Result<Arc<Evaluated>, Unsent> {
        let evaluated = evaluator.evaluate(plan, estimate_statistics(plan)).map_err(Unsent::NotWritten)?;
        if let Some(refusal) = self.answers.refusal(evaluator.as_ref(), &evaluated.text) {
            return Err(Unsent::NotWritten(refusal.clone()));
        }
        prove(self.state, plan, &evaluator.accepts())?;
        Ok(Arc::new(evaluated))
    }

    /// Each refusal is told once, however many subtrees hold what is refused.
    fn note(&mut self, unsent: Unsent) {
        if !self.unsent.contains(&unsent) {
            self.unsent.push(unsent);
        }
    }

    /// A filter over what its source evaluates, as two: the conditions that the source takes, and the others above them.
    fn split_filter(&mut self, filter: &Filter) -> DataFusionResult<Option<LogicalPlan>> {
        let Some(evaluator) = evaluator_of_all(&filter.input)? else { return Ok(None) };
        let over = |predicate: Expr| Filter::try_new(predicate, Arc::clone(&filter.input)).map(LogicalPlan::Filter);
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for conjunct in split_conjunction_owned(filter.predicate.clone()) {
            match self.evaluate(&over(conjunct.clone())?, &evaluator) {
                Ok(evaluated) => {
                    self.tried.push((Arc::clone(&evaluator), evaluated));
                    taken.push(conjunct);
                }
                Err(_) => left.push(conjunct),
            }
        }
        let (Some(taken), Some(left)) = (conjunction(taken), conjunction(left)) else { return Ok(None) };
        let taken = over(taken)?;
        let Ok(evaluated) = self.evaluate(&taken, &evaluator) else { return Ok(None) };
        let below = leaf(evaluator, evaluated, &taken);
        let above = LogicalPlan::Filter(Filter::try_new(left, Arc::new(below))?);
        Ok(Some(self.push_subqueries(above)?))
    }

    /// The node stays; its inputs and subqueries are tried.
    fn push_inputs(&mut self, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
        let plan = self.push_subqueries(plan)?;
        Ok(plan.map_children(|input| Ok(Transformed::yes(self.push(input)?)))?.data)
    }

    fn push_subqueries(&mut self, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
        let pushed = plan.map_subqueries(|subquery| match subquery {
            LogicalPlan::Subquery(subquery) => {
                let inner = self.push(subquery.subquery.as_ref().clone())?;
                Ok(Transformed::yes(LogicalPlan::Subquery(subquery.with_plan(Arc::new(inner)))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(pushed.data)
    }
}

/// What stands in the place of `plan`.
fn leaf(evaluator: Arc<dyn Evaluates>, evaluated: Arc<Evaluated>, plan: &LogicalPlan) -> LogicalPlan {
    let node = SourceNode::new(evaluator, evaluated, Arc::clone(plan.schema()));
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// A scan with a choice of columns: its provider reads it as well, and in parts.
fn is_plain_scan(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_plain_scan(&alias.input),
        LogicalPlan::Projection(projection) => {
            let is_column = |expr: &Expr| match expr {
                Expr::Alias(alias) => matches!(alias.expr.as_ref(), Expr::Column(_)),
                expr => matches!(expr, Expr::Column(_)),
            };
            projection.expr.iter().all(is_column) && is_plain_scan(&projection.input)
        }
        _ => false,
    }
}

/// The evaluator of all tables of `plan`, those of its subqueries among them; `None` if it reads none, or if one of them is
/// another's or nobody's.
fn evaluator_of_all(plan: &LogicalPlan) -> DataFusionResult<Option<Arc<dyn Evaluates>>> {
    let mut found: Option<Arc<dyn Evaluates>> = None;
    let mut mixed = false;
    let id = |evaluator: &Arc<dyn Evaluates>| -> EvaluatorId { evaluator.id() };
    plan.apply_with_subqueries(|node| {
        mixed |= match node {
            LogicalPlan::TableScan(scan) => match (evaluator_of(scan), &found) {
                (None, _) => true,
                (Some(own), Some(known)) => id(&own) != id(known),
                (Some(own), None) => {
                    found = Some(own);
                    false
                }
            },
            LogicalPlan::Extension(_) => true,
            _ => false,
        };
        Ok(if mixed { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found.filter(|_| !mixed))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use async_trait::async_trait;
    use connectors::ConnectorError;
    use connectors::pushdown::EvaluatedTable;
    use connectors::statement::{Accepts, StoredTables, write_for_postgres};
    use datafusion::common::Statistics;
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::prelude::SessionContext;
    use insta::assert_snapshot;

    use super::*;

    /// Takes what PostgreSQL takes but for texts with `refuses`, of which it tells when it is asked; and reads nothing.
    #[derive(Debug)]
    struct Database {
        id: usize,
        refuses: &'static str,
    }

    #[async_trait]
    impl Evaluates for Database {
        fn id(&self) -> EvaluatorId {
            EvaluatorId(self.id)
        }

        fn accepts(&self) -> Accepts {
            Accepts::postgres()
        }

        fn evaluate(&self, plan: &LogicalPlan, _expected: Statistics) -> std::result::Result<Evaluated, Refusal> {
            let statement = write_for_postgres(plan, &self.accepts(), &StoredTables::default())?;
            Ok(Evaluated { text: statement.text, scan: Arc::new(EmptyExec::new(statement.schema)) })
        }

        async fn ask(&self, evaluated: &Evaluated) -> std::result::Result<Option<Refusal>, ConnectorError> {
            let is_refused = !self.refuses.is_empty() && evaluated.text.contains(self.refuses);
            Ok(is_refused.then(|| Refusal::new("statement", "is not accepted")))
        }
    }

    /// `orders` and `customers` of one database, `parcels` of another, and `notes` that nobody evaluates over.
    fn session(refuses: &'static str) -> SessionContext {
        let ctx = SessionContext::new();
        let fields = [("id", DataType::Int64), ("name", DataType::Utf8), ("total", DataType::Decimal128(15, 2))];
        let fields: Vec<_> = fields.map(|(name, of)| Field::new(name, of, true)).into();
        let schema = Arc::new(Schema::new(fields));
        let table = || Arc::new(MemTable::try_new(Arc::clone(&schema), vec![vec![]]).unwrap());
        for (name, database) in [("orders", 1), ("customers", 1), ("parcels", 2)] {
            let of_database = EvaluatedTable::new(table(), Arc::new(Database { id: database, refuses }));
            ctx.register_table(name, Arc::new(of_database)).unwrap();
        }
        ctx.register_table("notes", table()).unwrap();
        ctx
    }

    async fn pushed(sql: &str) -> String {
        pushed_to_one_that("", sql).await
    }

    async fn pushed_to_one_that(refuses: &'static str, sql: &str) -> String {
        let state = session(refuses).state();
        let optimized = state.optimize(&state.create_logical_plan(sql).await.unwrap()).unwrap();
        let PushedPlan { plan, unsent } = push_to_sources(&state, optimized).await.unwrap();
        let unsent: Vec<String> = unsent.iter().map(|unsent| format!("\n{unsent}")).collect();
        format!("{}{}", plan.display_indent(), unsent.concat())
    }

    #[tokio::test]
    async fn it_fires() {
        let sql = "SELECT c.name, sum(o.total) AS total FROM orders o JOIN customers c ON c.id = o.id \
                   WHERE o.name LIKE 'a%' GROUP BY c.name ORDER BY total DESC LIMIT 3";
        assert_snapshot!(pushed(sql).await, @r#"Source: WITH "n0" AS (SELECT "t0"."id" AS "c0_0", "t0"."total" AS "c0_1" FROM "orders" AS "t0" WHERE ("t0"."name" COLLATE "C" LIKE 'a%')), "n1" AS (SELECT "t1"."name" COLLATE "C" AS "c1_0", CAST(sum("c0_1") AS numeric(25, 2)) AS "c1_1" FROM "n0" JOIN "customers" AS "t1" ON ("c0_0" = "t1"."id") GROUP BY "t1"."name" COLLATE "C") SELECT "c1_0" AS "c2_0", "c1_1" AS "c2_1" FROM "n1" ORDER BY "c2_1" DESC NULLS FIRST LIMIT 3"#);
    }

    #[tokio::test]
    async fn it_fires_partly() {
        let a_condition = "SELECT id FROM orders WHERE name < 'm' AND upper(name) = 'A'";
        assert_snapshot!(pushed(a_condition).await, @r#"
        Projection: orders.id
          Filter: upper(orders.name) = Utf8("A")
            Source: SELECT "t0"."id" AS "c0_0", "t0"."name" COLLATE "C" AS "c0_1" FROM "orders" AS "t0" WHERE ("t0"."name" COLLATE "C" < 'm')
        upper: is not known to mean the same there where it makes Utf8
        "#);
        let above_an_order = "SELECT upper(name) FROM orders ORDER BY id LIMIT 2";
        assert_snapshot!(pushed(above_an_order).await, @r"
        Projection: upper(orders.name)
          Sort: orders.id ASC NULLS LAST, fetch=2
            Projection: upper(orders.name), orders.id
              TableScan: orders projection=[id, name]
        upper: is not known to mean the same there where it makes Utf8
        ");
        let two_databases = "SELECT p.id, o.n FROM parcels p \
                             JOIN (SELECT id, count(*) AS n FROM orders GROUP BY id) o ON o.id = p.id";
        assert_snapshot!(pushed(two_databases).await, @r#"
        Projection: p.id, o.n
          Inner Join: p.id = o.id
            SubqueryAlias: p
              TableScan: parcels projection=[id]
            Source: WITH "n0" AS (SELECT "t0"."id" AS "c0_0", count(CAST('1' AS bigint)) AS "c0_1" FROM "orders" AS "t0" GROUP BY "t0"."id") SELECT "c0_0" AS "c1_0", "c0_1" AS "c1_1" FROM "n0"
        "#);
    }

    #[tokio::test]
    async fn what_a_source_refuses_when_it_is_asked_is_cut_smaller() {
        let sql = "SELECT name, count(*) FROM orders WHERE name LIKE 'a%' AND id > 7 GROUP BY name";
        assert_snapshot!(pushed_to_one_that("count", sql).await, @r#"
        Projection: orders.name, count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[orders.name]], aggr=[[count(Int64(1))]]
            Source: SELECT "t0"."name" COLLATE "C" AS "c0_0" FROM "orders" AS "t0" WHERE ("t0"."id" > CAST('7' AS bigint)) AND ("t0"."name" COLLATE "C" LIKE 'a%')
        statement: is not accepted
        "#);
        assert_snapshot!(pushed_to_one_that("LIKE", sql).await, @r#"
        Projection: orders.name, count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[orders.name]], aggr=[[count(Int64(1))]]
            Projection: orders.name
              Filter: orders.name LIKE Utf8("a%")
                Source: SELECT "t0"."id" AS "c0_0", "t0"."name" COLLATE "C" AS "c0_1" FROM "orders" AS "t0" WHERE ("t0"."id" > CAST('7' AS bigint))
        statement: is not accepted
        "#);
        assert_snapshot!(pushed_to_one_that("SELECT", sql).await, @r#"
        Projection: orders.name, count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[orders.name]], aggr=[[count(Int64(1))]]
            Projection: orders.name
              Filter: orders.id > Int64(7) AND orders.name LIKE Utf8("a%")
                TableScan: orders projection=[id, name]
        statement: is not accepted
        "#);
    }

    #[tokio::test]
    async fn in_subqueries_ctes_and_unions() {
        let sql = "WITH many AS (SELECT id FROM orders GROUP BY id HAVING count(*) > 2) \
                   SELECT id FROM notes WHERE id IN (SELECT id FROM many) AND total > (SELECT max(total) FROM customers) \
                   UNION ALL SELECT DISTINCT id FROM parcels";
        assert_snapshot!(pushed(sql).await, @r#"
        Union
          LeftSemi Join: notes.id = __correlated_sq_1.id
            Projection: notes.id
              Filter: notes.total > (<subquery>)
                Subquery:
                  Source: SELECT max("t0"."total") AS "c0_0" FROM "customers" AS "t0"
                TableScan: notes projection=[id, total]
            Source: WITH "n0" AS (SELECT "t0"."id" AS "c0_0", count(CAST('1' AS bigint)) AS "c0_1" FROM "orders" AS "t0" GROUP BY "t0"."id") SELECT "c0_0" AS "c1_0" FROM "n0" WHERE ("c0_1" > CAST('2' AS bigint))
          Source: SELECT "t0"."id" AS "c0_0" FROM "parcels" AS "t0" GROUP BY "t0"."id"
        "#);
    }

    #[tokio::test]
    async fn it_must_not_fire() {
        assert_snapshot!(pushed("SELECT name AS n FROM orders").await, @r"
        Projection: orders.name AS n
          TableScan: orders projection=[name]
        ");
        assert_snapshot!(pushed("SELECT count(*) FROM notes").await, @r"
        Projection: count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[]], aggr=[[count(Int64(1))]]
            TableScan: notes projection=[]
        ");
        assert_snapshot!(pushed("SELECT o.id FROM orders o, parcels p WHERE o.id = p.id").await, @r"
        Projection: o.id
          Inner Join: o.id = p.id
            SubqueryAlias: o
              TableScan: orders projection=[id]
            SubqueryAlias: p
              TableScan: parcels projection=[id]
        ");
    }
}

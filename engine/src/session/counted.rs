//! What the expressions of a statement make of its rows, counted against the memory that it may take. DataFusion counts what its
//! operators keep and not what they compute: forty functions of a column make forty columns of one batch.
//!
//! ```text
//! before   Projection(upper(a), CASE … THEN b END, a || b, n + 1)
//! after    Projection(counted(upper(a)), counted(CASE … THEN b END), joined(a, b), n + 1)
//! never    what a policy's own rules make below their barrier, nor what a source evaluates
//! ```
//!
//! Done last, when nobody reads the plan any more but who makes operators of it; every column keeps its name. Numbers are not
//! counted: a row has a few bytes of each, and a statement only so many.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr as Operation, Column};
use policy::barrier::PolicyBarrier;

use crate::config::Limits;
use crate::error::{Code, EngineError};
use crate::exec::value_bytes::bytes_of;
use crate::session::memory::{Usage, share};
use crate::session::process_memory::room_for;

/// What is made without being asked for: of most statements all.
const FREE_BYTES: usize = 16 << 20;
/// Batches of one expression that are there at once: the one that is made, and the one before on its way. More partitions may be at
/// it at the same time, each with rows of its own.
const BATCHES: usize = 2;
/// What one `||` may make of a batch, in what a function may.
const JOINED: usize = 4;

/// What the expressions of one execution of a statement have made: of each of them its largest batch, twice. An extension of the
/// session that it is planned in.
#[derive(Debug)]
pub struct Account {
    reservation: MemoryReservation,
    /// What one `||` may make of a batch.
    bytes_max: usize,
    /// All that was made.
    bytes: AtomicUsize,
}

impl Account {
    /// Has a session count what the statement makes that is planned in it, whose memory is that of its subject.
    pub fn begin(state: &mut SessionState, usage: &Usage, limits: &Limits) {
        let pool = share(state, usage, limits.subject_memory_bytes);
        let account = Self::new(&pool, limits.function_bytes_max);
        state.config_mut().set_extension(Arc::new(account));
    }

    fn new(pool: &Arc<dyn MemoryPool>, function_bytes_max: usize) -> Self {
        let reservation = MemoryConsumer::new("expressions").register(pool);
        Self { reservation, bytes_max: function_bytes_max.saturating_mul(JOINED), bytes: AtomicUsize::new(0) }
    }

    /// An expression, of which this was the largest batch, has made another one.
    fn count(&self, largest: &AtomicUsize, bytes: usize) -> Result<()> {
        let before = largest.fetch_max(bytes, Ordering::Relaxed);
        let more = bytes.saturating_sub(before).saturating_mul(BATCHES);
        let all = self.bytes.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        match all.saturating_sub(FREE_BYTES).min(more) {
            0 => Ok(()),
            asked => self.reservation.try_grow(asked),
        }
    }
}

/// The plan with every expression counted that makes values of no fixed size, where the session counts.
///
/// # Errors
/// When an expression cannot be looked at: a defect.
pub fn count_expressions(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let Some(account) = state.config().get_extension::<Account>() else { return Ok(plan) };
    plan.transform_down_with_subqueries(|node| match node {
        // Filters that its provider may know by their form.
        LogicalPlan::TableScan(_) => Ok(Transformed::no(node)),
        LogicalPlan::Extension(ref extension) => {
            let is_barrier = extension.node.as_any().is::<PolicyBarrier>();
            let below = if is_barrier { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue };
            Ok(Transformed::new(node, false, below))
        }
        node => {
            let schema = merge_schema(&node.inputs());
            let is_named =
                matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
            node.map_expressions(|expr| {
                let name = is_named.then(|| expr.schema_name().to_string());
                let counted = expr.transform_up(|expr| Ok(with_count(&account, expr, &schema)))?;
                // What a window is ordered by is a part of its column's name.
                Ok(match name.filter(|name| *name != counted.data.schema_name().to_string()) {
                    Some(name) => counted.update_data(|expr| expr.alias(name)),
                    None => counted,
                })
            })
        }
    })
    .data()
}

/// The same expression, counted if what it makes has no fixed size. Below a lambda types are not known; what a lambda makes is
/// counted with the list that it makes it for.
fn with_count(account: &Arc<Account>, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let counts = Counts { account: Arc::clone(account), largest: Arc::default() };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let joined = Joined { counts, signature: Signature::any(2, Volatility::Immutable) };
            Transformed::yes(call(joined, vec![*left, *right]))
        }
        expr if makes_values(&expr) && expr.get_type(schema).is_ok_and(|made| !is_small(&made)) => {
            let counted = Counted { counts, signature: Signature::any(1, Volatility::Immutable) };
            Transformed::yes(call(counted, vec![expr]))
        }
        expr => Transformed::no(expr),
    }
}

fn call(function: impl ScalarUDFImpl + 'static, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction { func: Arc::new(ScalarUDF::from(function)), args })
}

/// Whether an expression makes values, and does not only choose among columns. Casts are known by their form, in the keys of joins
/// and below CASE; what they make is not much more than what they are given.
fn makes_values(expr: &Expr) -> bool {
    match expr {
        // A part of what is there already; sources know it by its form.
        Expr::ScalarFunction(call) => call.name() != "get_field",
        Expr::Case(_) | Expr::HigherOrderFunction(_) => true,
        _ => false,
    }
}

/// Whether each value has a few bytes.
fn is_small(data_type: &DataType) -> bool {
    data_type.is_primitive() || matches!(data_type, DataType::Boolean | DataType::Null)
}

/// Where it is counted what one expression makes. All are alike: what is compared of two expressions is what they are made of.
#[derive(Debug, Clone)]
struct Counts {
    account: Arc<Account>,
    largest: Arc<AtomicUsize>,
}

impl PartialEq for Counts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counts {}

impl Hash for Counts {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Counts {
    fn count(&self, made: &ColumnarValue) -> Result<()> {
        match made {
            ColumnarValue::Array(array) => self.account.count(&self.largest, bytes_of(array.as_ref())),
            // One value; those that stand in every row have their own limit.
            ColumnarValue::Scalar(_) => Ok(()),
        }
    }
}

/// What its argument makes, counted.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted {
    counts: Counts,
    signature: Signature,
}

impl ScalarUDFImpl for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        arg_types.first().cloned().ok_or_else(without_arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(without_arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let made = args.args.into_iter().next().ok_or_else(without_arguments)?;
        self.counts.count(&made)?;
        Ok(made)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        inputs.first().copied().cloned().ok_or_else(without_arguments)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        inputs.first().map(|input| input.sort_properties).ok_or_else(without_arguments)
    }

    fn preserves_lex_ordering(&self, _inputs: &[ExprProperties]) -> Result<bool> {
        Ok(true)
    }
}

/// `||` of two texts: asked for the size of its answer first, and counted.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    counts: Counts,
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        "joined"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let field = |data_type: &DataType| Arc::new(Field::new("", data_type.clone(), true));
        let fields: Vec<FieldRef> = arg_types.iter().map(field).collect();
        let (schema, operation) = operation(&fields);
        operation.data_type(&schema)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (schema, operation) = operation(args.arg_fields);
        operation.return_field(&schema)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = |argument: &ColumnarValue| match argument {
            ColumnarValue::Array(array) => bytes_of(array.as_ref()),
            ColumnarValue::Scalar(value) => {
                let text = value.try_as_str().map(|text| text.map_or(0, str::len));
                text.unwrap_or_else(|| value.size()).saturating_mul(args.number_rows)
            }
        };
        let most = self.counts.account.bytes_max;
        let made = args.args.iter().map(bytes).fold(0, usize::saturating_add);
        if made > most {
            let sentence = format!(
                "`||` would make more than {most} bytes of one batch of rows (four times `function_bytes_max`); ask for less at \
                 once"
            );
            return Err(EngineError::new(Code::Memory, sentence).into());
        }
        // One value that stands in every row is written out first.
        let written_out = args.args.iter().filter(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let _room = room_for(written_out.map(bytes).fold(made, usize::saturating_add))?;
        let (schema, operation) = operation(&args.arg_fields);
        let columns =
            args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let made = operation.evaluate(&RecordBatch::try_new(schema, columns)?)?;
        self.counts.count(&made)?;
        Ok(made)
    }
}

/// DataFusion's `||` over two columns of these types.
fn operation(fields: &[FieldRef]) -> (SchemaRef, Operation) {
    let column = |position| Arc::new(Column::new("", position)) as Arc<dyn PhysicalExpr>;
    let schema = Schema::new(fields.iter().map(|field| field.as_ref().clone().with_name("")).collect::<Fields>());
    (Arc::new(schema), Operation::new(column(0), Operator::StringConcat, column(1)))
}

fn without_arguments() -> DataFusionError {
    EngineError::defect("an expression that is counted is not there").into()
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;

    const TEXTS: &str = "(SELECT v, repeat('x', 1000 + v % 2) AS a FROM unnest(range(1000)) AS t(v))";

    /// The names of the columns and the number of rows of an answer, or the code of the refusal, in two partitions that may take so
    /// much memory.
    async fn told(sql: &str, memory_bytes: usize) -> Result<(Vec<String>, usize), Code> {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0).build_arc().unwrap();
        let mut state = SessionStateBuilder::new().with_default_features().with_runtime_env(runtime).build();
        state.config_mut().options_mut().execution.target_partitions = 2;
        let plan = SessionContext::new_with_state(state.clone()).sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let limits = Limits { subject_memory_bytes: memory_bytes, function_bytes_max: 10_000_000, ..Limits::default() };
        Account::begin(&mut state, &Usage::default(), &limits);
        let counted = count_expressions(&state, plan).unwrap();
        let context = SessionContext::new_with_state(state);
        let physical = context.state().query_planner().create_physical_plan(&counted, &context.state()).await.unwrap();
        let names = physical.schema().fields().iter().map(|field| field.name().clone()).collect();
        match collect(physical, context.task_ctx()).await {
            Ok(batches) => Ok((names, batches.iter().map(RecordBatch::num_rows).sum())),
            Err(error) => Err(EngineError::of_running(error).code()),
        }
    }

    #[tokio::test]
    async fn a99_what_many_expressions_make_of_one_column_is_counted() {
        let many = |each: &dyn Fn(usize) -> String| {
            let columns: Vec<String> = (0..40).map(|n| format!("{} AS c{n}", each(n))).collect();
            format!("SELECT {} FROM {TEXTS} AS t", columns.join(", "))
        };
        let compared: Vec<String> = (0..40).map(|n| format!("length(upper(substr(a, {n} + 1))) < 0")).collect();
        let bombs = [
            many(&|n| format!("upper(substr(a, {n} + 1))")),
            many(&|n| format!("CASE WHEN v % {} = 0 THEN a ELSE reverse(a) END", n + 2)),
            many(&|n| format!("a || '{n}'")),
            format!("SELECT count(*) FROM {TEXTS} AS t WHERE {}", compared.join(" OR ")),
        ];
        for sql in &bombs {
            assert_eq!(told(sql, 60_000_000).await.unwrap_err(), Code::Memory, "{sql}");
            assert!(told(sql, 2_000_000_000).await.is_ok(), "{sql}");
        }
        let long = format!("SELECT {} FROM {TEXTS} AS t", ["a"; 50].join(" || "));
        assert_eq!(told(&long, 2_000_000_000).await.unwrap_err(), Code::Memory);
    }

    #[tokio::test]
    async fn what_is_counted_is_what_it_was() {
        for (sql, rows) in [
            (
                "SELECT upper(a), a || 'y' || v, CAST(v AS varchar), v + 1 FROM (VALUES (1, 'a'), (2, NULL)) AS t(v, a)",
                2,
            ),
            ("SELECT lower(a), count(DISTINCT a || '1') FROM (VALUES ('a'), ('A')) AS t(a) GROUP BY lower(a)", 1),
            ("SELECT a FROM (VALUES ('b'), ('a')) AS t(a) WHERE a || 'c' = (SELECT 'a' || 'c') ORDER BY upper(a)", 1),
            ("SELECT lag(upper(a)) OVER (ORDER BY lower(a)) FROM (VALUES ('b'), ('a')) AS t(a)", 2),
            (
                "SELECT DISTINCT CASE WHEN n IS NOT NULL THEN CAST(n AS varchar) ELSE '-' END FROM (VALUES (1), (NULL)) AS t(n)",
                2,
            ),
            (
                "SELECT count(*) FILTER (WHERE upper(b) = 'X') OVER (PARTITION BY lower(b)), sum(a) OVER (PARTITION BY lower(b)) \
              FROM (VALUES (1, 'x'), (2, 'X')) AS t(a, b)",
                2,
            ),
            (
                "SELECT count(*) FILTER (WHERE upper(b) = 'X'), string_agg(upper(b), ',' ORDER BY lower(b)) \
              FROM (VALUES ('x'), ('X')) AS t(b)",
                1,
            ),
            ("SELECT a FROM (VALUES (1)) AS t(a) JOIN (VALUES ('1')) AS u(b) ON CAST(a AS varchar) = b", 1),
            ("SELECT 1 FROM (VALUES ('b')) AS t(a) JOIN (VALUES ('B')) AS u(b) ON upper(a) = b", 1),
        ] {
            let context = SessionContext::new();
            let plain = context.sql(sql).await.unwrap();
            let names: Vec<String> = plain.schema().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!(told(sql, 100_000_000).await.unwrap(), (names, rows), "{sql}");
        }
    }
}

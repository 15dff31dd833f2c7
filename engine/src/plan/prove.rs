//! A fragment's statement, proven: written, read back, planned without the optimizer, and compared with the fragment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::DataType;
use connectors::statement::{Accepts, Refusal, Statement, check, write};
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::parser::DFParser;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use parking_lot::Mutex;

/// How often, by operator, a text was not what it should say, since the process began. A text is never sent then; a
/// count above zero is a defect of the generator.
pub fn not_proven() -> BTreeMap<String, u64> {
    NOT_PROVEN.lock().clone()
}

static NOT_PROVEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Why a subtree is not sent as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// An operator or expression that a site does not take, or that the generator does not write.
    #[error("{0}")]
    NotWritten(Refusal),
    /// The text does not say what the fragment says: the generator's fault, caught before anything was sent.
    #[error("not proven: {0}")]
    NotProven(Refusal),
}

/// Writes `fragment` as a statement and proves it: its plan, read back from the text over the same tables and only
/// type-coerced, is the fragment.
///
/// # Errors
/// The operator or expression that cannot be written, or in which text and fragment differ.
pub fn prove(state: &SessionState, fragment: &LogicalPlan, accepts: &Accepts) -> Result<Statement, Unsent> {
    let statement = write(fragment, accepts).map_err(Unsent::NotWritten)?;
    compare(state, fragment, &statement).map_err(|refusal| {
        *NOT_PROVEN.lock().entry(refusal.operator.clone()).or_default() += 1;
        Unsent::NotProven(refusal)
    })?;
    Ok(statement)
}

fn compare(state: &SessionState, fragment: &LogicalPlan, statement: &Statement) -> Result<(), Refusal> {
    let planned = plan_text(state, fragment, &statement.text)
        .map_err(|error| Refusal::new("statement", format!("its text does not plan: {error}")))?;
    check(fragment, &planned)
}

/// The plan of `text` over the tables of `fragment`: names resolved and types coerced, nothing optimized.
fn plan_text(state: &SessionState, fragment: &LogicalPlan, text: &str) -> DataFusionResult<LogicalPlan> {
    let tables = FragmentTables::new(state, fragment)?;
    let mut statements = DFParser::parse_sql(text)?;
    let statement = statements.pop_front().ok_or_else(|| DataFusionError::Plan("the statement is empty".into()))?;
    let options = ParserOptions {
        map_string_types_to_utf8view: false,
        default_null_ordering: state.config_options().sql_parser.default_null_ordering.as_str().into(),
        ..ParserOptions::default()
    };
    let plan = SqlToRel::new_with_options(&tables, options).statement_to_plan(statement)?;
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

/// Resolves the full names of a fragment's tables to their sources, and functions as the session knows them.
struct FragmentTables<'a> {
    state: &'a SessionState,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
}

impl<'a> FragmentTables<'a> {
    fn new(state: &'a SessionState, fragment: &LogicalPlan) -> DataFusionResult<Self> {
        let mut tables = HashMap::new();
        fragment.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                tables.insert(scan.table_name.clone(), Arc::clone(&scan.source));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { state, tables })
    }
}

impl ContextProvider for FragmentTables<'_> {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        self.tables
            .get(&name)
            .map(Arc::clone)
            .ok_or_else(|| DataFusionError::Plan(format!("table '{name}' is not of this fragment")))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

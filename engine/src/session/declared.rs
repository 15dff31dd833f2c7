//! What a statement declares before it runs, and streams that keep to it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::error::{EngineError, Result};
use crate::flight::door::Description;
use crate::flight::wire_types::wire_type;
use crate::session::{parameters, standard_sql};

impl Description {
    /// Of a statement of these columns without placeholders.
    pub fn of(columns: &SchemaRef) -> Self {
        Self { schema: Arc::clone(columns), parameters: Arc::new(Schema::empty()) }
    }

    /// What EXPLAIN answers: lines, each with what it is about.
    pub fn explanation() -> Self {
        Self { schema: explanation_schema(), parameters: Arc::new(Schema::empty()) }
    }
}

fn explanation_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("plan_type", DataType::Utf8, false),
        Field::new("plan", DataType::Utf8, false),
    ]))
}

/// The answer to an EXPLAIN.
///
/// # Errors
/// When the columns do not fit: a defect.
pub fn lines(rows: Vec<(String, String)>) -> Result<SendableRecordBatchStream> {
    let (types, plans): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(types)), Arc::new(StringArray::from(plans))];
    let schema = explanation_schema();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(EngineError::internal)?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
}

/// The statement's plan with every name and type resolved: its schema is what the statement declares. (The plan as
/// written does not know the common types of a union yet; the optimized one differs in nullability.)
///
/// # Errors
/// `TYPE` for types that do not fit together.
pub fn analyze(state: &SessionState, plan: LogicalPlan, parameters: Option<&ParamValues>) -> Result<LogicalPlan> {
    let plan = match parameters {
        Some(values) => {
            let values = parameters::fit(&plan, values)?;
            plan.with_param_values(values)?
        }
        None => plan,
    };
    if plan.get_parameter_names()?.is_empty() {
        let plan = standard_sql::rewrite(plan)?;
        return Ok(state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?);
    }
    // Types that hang on a parameter are known when it is bound.
    Ok(plan)
}

/// The columns that a statement declares: names of the analyzed plan, types of the optimized one (a type may hang on a
/// literal that is behind a cast until then, as in `round(price, 1)`), nullable where either says so.
pub fn declared_schema(analyzed: &LogicalPlan, optimized: &LogicalPlan) -> SchemaRef {
    let fields = analyzed.schema().fields().iter().zip(optimized.schema().fields()).map(|(written, found)| {
        let nullable = written.is_nullable() || found.is_nullable();
        found.as_ref().clone().with_name(written.name()).with_nullable(nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns that an analyzed plan declares, and its placeholders, each with a type that clients can bind.
///
/// # Errors
/// When the plan does not bear them.
pub fn describe_plan(state: &SessionState, plan: &LogicalPlan) -> Result<Description> {
    let field = |(number, data_type): (usize, Option<DataType>)| {
        Field::new(format!("${number}"), wire_type(&data_type.unwrap_or(DataType::Utf8)), true)
    };
    let fields: Vec<Field> = parameters::types(plan)?.into_iter().map(field).collect();
    let schema = if fields.is_empty() {
        declared_schema(plan, &state.optimize(plan)?)
    } else {
        // A NULL may fit where nothing else does, or not fit where a value would.
        let analyzed = bound_to(state, plan, &fields, null).unwrap_or_else(|_| plan.clone());
        // Of a plan with a NULL in it little may be left to tell types by.
        match bound_to(state, plan, &fields, sample).and_then(|bound| state.optimize(&bound)) {
            Ok(optimized) => declared_schema(&analyzed, &optimized),
            Err(_) => Arc::clone(analyzed.schema().inner()),
        }
    };
    Ok(Description { schema, parameters: Arc::new(Schema::new(fields)) })
}

/// The plan, analyzed, with a value for each parameter.
fn bound_to(
    state: &SessionState,
    plan: &LogicalPlan,
    parameters: &[Field],
    value: fn(&DataType) -> DataFusionResult<ScalarValue>,
) -> DataFusionResult<LogicalPlan> {
    let values = parameters.iter().map(|field| value(field.data_type())).collect::<DataFusionResult<Vec<_>>>()?;
    let bound = standard_sql::rewrite(plan.clone().with_param_values(values)?)?;
    state.analyzer().execute_and_check(bound, state.config_options(), |_, _| {})
}

fn null(of: &DataType) -> DataFusionResult<ScalarValue> {
    ScalarValue::try_from(of)
}

/// A value that is neither NULL nor zero, as far as the type has one.
fn sample(of: &DataType) -> DataFusionResult<ScalarValue> {
    if has_map(of) {
        // DataFusion's own default of a map is none, and panics.
        return null(of);
    }
    ScalarValue::new_one(of).or_else(|_| ScalarValue::new_default(of)).or_else(|_| null(of))
}

fn has_map(of: &DataType) -> bool {
    match of {
        DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_map(field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => has_map(field.data_type()),
        DataType::Dictionary(_, values) => has_map(values),
        DataType::RunEndEncoded(_, values) => has_map(values.data_type()),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_map(field.data_type())),
        _ => false,
    }
}

/// A stream under the schema that was declared; its batches are relabelled on their way out.
pub fn declare(schema: SchemaRef, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

//! `to_timestamp` and its like over columns of texts with formats. In a session that has a time zone DataFusion 55.2 promises a
//! moment with the zone and returns it without, which ends the query as a defect; here it has the zone that was promised.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// The functions that read moments in the session's zone.
const READING: [&str; 5] =
    ["to_timestamp", "to_timestamp_seconds", "to_timestamp_millis", "to_timestamp_micros", "to_timestamp_nanos"];

/// The session with functions that keep to the zone that they promise.
///
/// # Errors
/// When a function cannot be registered: a defect.
pub fn keep_zones(mut state: SessionState) -> Result<SessionState> {
    for name in READING {
        let function = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Zoned { function })))?;
    }
    Ok(state)
}

/// A function whose moments have the zone that it promises.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    function: Arc<ScalarUDF>,
}

/// The same moments under the type that was promised, which differs by its zone alone.
fn zoned(moments: &ArrayRef, promised: DataType) -> Result<ArrayRef> {
    Ok(make_array(moments.to_data().into_builder().data_type(promised).build()?))
}

impl ScalarUDFImpl for Zoned {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let promised = args.return_type().clone();
        match (self.function.inner().invoke_with_args(args)?, &promised) {
            (ColumnarValue::Array(moments), DataType::Timestamp(unit, Some(_)))
                if *moments.data_type() == DataType::Timestamp(*unit, None) =>
            {
                Ok(ColumnarValue::Array(zoned(&moments, promised)?))
            }
            (made, _) => Ok(made),
        }
    }

    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        self.function.inner().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let function = Arc::new(self.function.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self { function }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionContext;

    use crate::config::limits::Limits;
    use crate::session::options::base_state;

    async fn told(expression: &str) -> String {
        let context = SessionContext::new_with_state(base_state(&Limits::default()).unwrap());
        let sql = format!("SELECT {expression} FROM (VALUES ('08.09.2020 14', '%d.%m.%Y %H')) AS t(text, format)");
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        array_value_to_string(batches[0].column(0), 0).unwrap()
    }

    #[tokio::test]
    async fn columns_are_read_by_formats_in_the_zone_of_the_session() {
        for (name, unit) in [("", "ns"), ("_seconds", "s"), ("_millis", "ms"), ("_micros", "µs"), ("_nanos", "ns")] {
            let function = format!("to_timestamp{name}(text || ':00', format || ':%M')");
            assert_eq!(told(&function).await, "2020-09-08T14:00:00Z", "{function}");
            assert_eq!(told(&format!("arrow_typeof({function})")).await, format!("Timestamp({unit}, \"+00:00\")"));
        }
    }

    #[tokio::test]
    async fn what_is_no_column_is_read_as_before() {
        assert_eq!(told("to_timestamp('08.09.2020 14:30', '%d.%m.%Y %H:%M')").await, "2020-09-08T14:30:00Z");
        assert_eq!(told("to_timestamp(17)").await, "1970-01-01T00:00:17Z");
        assert_eq!(told("to_timestamp(NULL)").await, "");
    }
}

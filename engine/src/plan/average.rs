//! The average of decimals from a sum and a count that were put together from several sites, to the last digit as
//! DataFusion's own `avg` gives it; `split_unions` puts it above the final aggregate.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::DecimalCast;
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Int64Type,
};
use datafusion::common::{Result, exec_datafusion_err, internal_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::aggregate::utils::DecimalAverager;

/// Digits that `avg` keeps free above its argument's precision: four for the scale it adds, nine for the row count.
const HEADROOM_DIGITS: u8 = 13;

/// `sum / count` as the average of decimals of type `argument`; NULL where no value was counted.
pub fn average_of(sum: Expr, count: Expr, argument: &DataType) -> Expr {
    ScalarUDF::from(DecimalAverage::new(argument)).call(vec![sum, count])
}

/// The type in which `avg` adds up decimals of type `argument`; `None` for other types.
pub fn sum_type(argument: &DataType) -> Option<DataType> {
    let (precision, scale, own_max) = match argument {
        DataType::Decimal32(precision, scale) => (*precision, *scale, Decimal32Type::MAX_PRECISION),
        DataType::Decimal64(precision, scale) => (*precision, *scale, Decimal64Type::MAX_PRECISION),
        DataType::Decimal128(precision, scale) => (*precision, *scale, Decimal128Type::MAX_PRECISION),
        DataType::Decimal256(precision, scale) => (*precision, *scale, Decimal256Type::MAX_PRECISION),
        _ => return None,
    };
    let needed = precision.saturating_add(HEADROOM_DIGITS).max(own_max);
    Some(if needed <= Decimal64Type::MAX_PRECISION {
        DataType::Decimal64(Decimal64Type::MAX_PRECISION, scale)
    } else if needed <= Decimal128Type::MAX_PRECISION {
        DataType::Decimal128(Decimal128Type::MAX_PRECISION, scale)
    } else {
        DataType::Decimal256(Decimal256Type::MAX_PRECISION, scale)
    })
}

/// The function behind [`average_of`]; one for each type of argument, because a sum's type does not tell it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DecimalAverage {
    argument: DataType,
    signature: Signature,
}

impl DecimalAverage {
    fn new(argument: &DataType) -> Self {
        Self { argument: argument.clone(), signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DecimalAverage {
    fn name(&self) -> &str {
        "decimal_average"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        avg_udaf().return_type(std::slice::from_ref(&self.argument))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = args.return_type().clone();
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [sum, count] = arrays.as_slice() else { return internal_err!("an average takes a sum and a count") };
        Ok(ColumnarValue::Array(divide(sum, count, &target)?))
    }
}

fn divide(sum: &ArrayRef, count: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match sum.data_type() {
        DataType::Decimal32(_, scale) => divide_sum::<Decimal32Type>(sum, *scale, count, target),
        DataType::Decimal64(_, scale) => divide_sum::<Decimal64Type>(sum, *scale, count, target),
        DataType::Decimal128(_, scale) => divide_sum::<Decimal128Type>(sum, *scale, count, target),
        DataType::Decimal256(_, scale) => divide_sum::<Decimal256Type>(sum, *scale, count, target),
        other => internal_err!("an average of decimals was given a sum of {other}"),
    }
}

fn divide_sum<S>(sum: &ArrayRef, sum_scale: i8, count: &ArrayRef, target: &DataType) -> Result<ArrayRef>
where
    S: DecimalType,
    S::Native: DecimalCast,
{
    match target {
        DataType::Decimal32(..) => averages::<S, Decimal32Type>(sum, sum_scale, count, target),
        DataType::Decimal64(..) => averages::<S, Decimal64Type>(sum, sum_scale, count, target),
        DataType::Decimal128(..) => averages::<S, Decimal128Type>(sum, sum_scale, count, target),
        DataType::Decimal256(..) => averages::<S, Decimal256Type>(sum, sum_scale, count, target),
        other => internal_err!("an average of decimals was asked for as {other}"),
    }
}

fn averages<S, T>(sum: &ArrayRef, sum_scale: i8, count: &ArrayRef, target: &DataType) -> Result<ArrayRef>
where
    S: DecimalType,
    S::Native: DecimalCast,
    T: DecimalType,
    T::Native: DecimalCast,
{
    let (precision, scale) = match target {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        other => return internal_err!("an average of decimals was asked for as {other}"),
    };
    let averager = DecimalAverager::<S>::try_new(sum_scale, precision, scale)?;
    let average = |sum: S::Native, count: i64| -> Result<T::Native> {
        let divisor = usize::try_from(count).ok().and_then(S::Native::from_usize);
        let divisor = divisor.ok_or_else(|| exec_datafusion_err!("the row count of an average is too large"))?;
        T::Native::from_decimal(averager.avg(sum, divisor)?)
            .ok_or_else(|| exec_datafusion_err!("an average is too large for its type"))
    };
    let (sums, counts) = (sum.as_primitive::<S>(), count.as_primitive::<Int64Type>());
    let pairs = sums.iter().zip(counts.iter());
    let values = pairs.map(|(sum, count)| match (sum, count) {
        (Some(sum), Some(count)) if count > 0 => average(sum, count).map(Some),
        _ => Ok(None),
    });
    let values: PrimitiveArray<T> = values.collect::<Result<Vec<_>>>()?.into_iter().collect();
    Ok(Arc::new(values.with_data_type(target.clone())))
}

//! A treatment as a function of DataFusion's: one argument, the raw column, of exactly the type that it was made for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err};
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::rebuild::{Rebuild, hydrated, unexpected};
use super::{ColumnMask, clamp};
use crate::pseudonym::Pseudonyms;

/// A mask, or the clamping of an aggregate-only column, ready to run over arrays of one type.
///
/// Two are equal when they do the same: the same treatment with the same arguments, over the same type, with the same key.
pub struct MaskFunction {
    name: String,
    meaning: Meaning,
    output: DataType,
    rebuild: Rebuild,
    signature: Signature,
}

/// What the function does, to be compared and hashed.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Meaning {
    treatment: Treatment,
    input: DataType,
    key: Option<Pseudonyms>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Treatment {
    Mask(ColumnMask),
    Clamp(ScalarValue, ScalarValue),
}

impl MaskFunction {
    /// A mask over a column of a type; a pseudonym needs its key.
    ///
    /// # Errors
    /// If the mask does not fit the type, or the key is missing.
    pub fn mask(mask: &ColumnMask, input: &DataType, key: Option<&Pseudonyms>) -> Result<Self, String> {
        let key = key.filter(|_| matches!(mask, ColumnMask::Pseudonym(_)));
        let rebuild = mask.rebuild(input, key)?;
        let meaning = Meaning { treatment: Treatment::Mask(mask.clone()), input: input.clone(), key: key.cloned() };
        Ok(Self::new(format!("chancery_mask_{}", mask.name()), meaning, mask.output_type(input), rebuild))
    }

    /// The clamping of a column of numbers to bounds of its type.
    ///
    /// # Errors
    /// If the column is not of numbers, or the bounds are not bounds of its type.
    pub fn clamp(input: &DataType, low: &ScalarValue, high: &ScalarValue) -> Result<Self, String> {
        let rebuild = clamp::clamp(input, low, high)?;
        let treatment = Treatment::Clamp(low.clone(), high.clone());
        let meaning = Meaning { treatment, input: input.clone(), key: None };
        Ok(Self::new(String::from("chancery_clamp"), meaning, input.clone(), rebuild))
    }

    fn new(name: String, meaning: Meaning, output: DataType, rebuild: Rebuild) -> Self {
        let signature = Signature::exact(vec![meaning.input.clone()], Volatility::Immutable);
        Self { name, meaning, output, rebuild, signature }
    }

    /// The treated array.
    pub(super) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if *array.data_type() != self.meaning.input {
            return Err(unexpected(array.data_type()));
        }
        (self.rebuild)(&hydrated(array)?)
    }

    fn nullable(&self, input: &Field) -> bool {
        match &self.meaning.treatment {
            Treatment::Mask(mask) => mask.nullable(input),
            Treatment::Clamp(_, _) => input.is_nullable() || self.output.is_floating(),
        }
    }
}

impl ScalarUDFImpl for MaskFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.output.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let column = args.arg_fields.first().ok_or_else(|| exec_datafusion_err!("{} needs a column", self.name))?;
        Ok(Arc::new(Field::new(&self.name, self.output.clone(), self.nullable(column))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(self.apply(array)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let treated = self.apply(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&treated, 0)?))
            }
            None => Err(exec_datafusion_err!("{} needs a column", self.name)),
        }
    }
}

/// The name only: arguments are policy, and keys are secret.
impl fmt::Debug for MaskFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MaskFunction").field(&self.name).finish()
    }
}

impl PartialEq for MaskFunction {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl Eq for MaskFunction {}

impl Hash for MaskFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning.hash(state);
    }
}

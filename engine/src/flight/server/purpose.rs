//! The purpose of a session at the door: as a statement, and as a session option of Flight SQL.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use prost::Message;

use super::FlightServer;
use super::actions::unreadable;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::session_options::{
    ErrorValue, GetSessionOptionsResult, OptionValue, PURPOSE, SessionOptionValue, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use crate::session::setting::Setting;

/// The columns of the answer to `SET`, `RESET` and `SHOW purpose`.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(PURPOSE, DataType::Utf8, true)]))
}

impl FlightServer {
    /// Does what the statement says with the session's purpose; the answer is the purpose in force from now on.
    pub(super) fn settle(&self, caller: &Caller, setting: Setting) -> Result<RecordBatch> {
        let purpose = match setting {
            Setting::Set(purpose) => self.access.choose_purpose(caller, Some(purpose))?,
            Setting::Reset => self.access.choose_purpose(caller, None)?,
            Setting::Show => caller.asker.purpose.clone(),
        };
        let column = Arc::new(StringArray::from(vec![purpose]));
        RecordBatch::try_new(schema(), vec![column]).map_err(EngineError::internal)
    }

    /// SetSessionOptions: what is wrong with an option is told beside its name.
    pub(super) fn set_options(&self, caller: &Caller, request: &[u8]) -> Result<Vec<u8>> {
        let request = SetSessionOptionsRequest::decode(request).map_err(|_| unreadable("SetSessionOptions"))?;
        let mut result = SetSessionOptionsResult::default();
        for (name, value) in request.session_options {
            if let Some(error) = self.set_option(caller, &name, value)? {
                result.refuse(name, error);
            }
        }
        Ok(result.encode_to_vec())
    }

    fn set_option(&self, caller: &Caller, name: &str, value: SessionOptionValue) -> Result<Option<ErrorValue>> {
        let purpose = match value.option_value {
            _ if name != PURPOSE => return Ok(Some(ErrorValue::InvalidName)),
            None => None,
            Some(OptionValue::Text(purpose)) => Some(purpose),
            Some(_) => return Ok(Some(ErrorValue::InvalidValue)),
        };
        match self.access.choose_purpose(caller, purpose) {
            Ok(_) => Ok(None),
            Err(error) if error.code() == Code::Purpose => Ok(Some(ErrorValue::InvalidValue)),
            Err(error) => Err(error),
        }
    }

    /// GetSessionOptions.
    pub(super) fn options(caller: &Caller) -> Vec<u8> {
        GetSessionOptionsResult::of(caller.asker.purpose.clone()).encode_to_vec()
    }
}

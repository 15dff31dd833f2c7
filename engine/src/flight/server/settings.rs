//! The settings of a session at the door: as statements, and as session options of Flight SQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use prost::Message;

use super::FlightServer;
use super::actions::unreadable;
use crate::catalog::information_schema;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::session_options::{
    ErrorValue, GetSessionOptionsResult, OptionValue, SessionOptionValue, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use crate::session::place::Place;
use crate::session::setting::{Change, Setting, Variable, is_utc, timeout};

/// The columns of the answer to a setting: what is in force from now on.
pub(super) fn schema(setting: &Setting) -> SchemaRef {
    let names = match setting {
        Setting::Of(variable, _) => vec![variable.name()],
        Setting::Use(_) => vec![Variable::Catalog.name(), Variable::Schema.name()],
    };
    Arc::new(Schema::new(names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The zone of every session: a moment is told the same to everybody, and a site could be told of no other.
const TIME_ZONE: &str = "UTC";

/// The zone that counts, which is the only one.
fn only_utc(change: &Change) -> Result<String> {
    match change {
        Change::Set(zone) if !is_utc(zone) => {
            let sentence = "the time zone of every session is UTC; convert times in the statement, by AT TIME ZONE";
            Err(EngineError::new(Code::Type, sentence))
        }
        _ => Ok(TIME_ZONE.to_string()),
    }
}

impl FlightServer {
    /// Does what the statement says with the session; the answer is what is in force from now on.
    pub(super) async fn settle(&self, caller: &Caller, setting: Setting) -> Result<RecordBatch> {
        let schema = schema(&setting);
        let values = match setting {
            Setting::Of(variable, change) => vec![self.change(caller, variable, change).await?],
            Setting::Use(names) => {
                let place = self.used(caller, &names).await?;
                let (catalog, schema) = place.or(self.door.own_place());
                self.access.choose_place(caller, place)?;
                vec![Some(catalog), Some(schema)]
            }
        };
        let columns = values.into_iter().map(|value| Arc::new(StringArray::from(vec![value])) as ArrayRef).collect();
        RecordBatch::try_new(schema, columns).map_err(EngineError::internal)
    }

    /// Changes one setting, or none; the answer is what counts then.
    async fn change(&self, caller: &Caller, variable: Variable, change: Change) -> Result<Option<String>> {
        let place = match (variable, change) {
            (Variable::Purpose, Change::Set(purpose)) => return self.access.choose_purpose(caller, Some(purpose)),
            (Variable::Purpose, Change::Reset) => return self.access.choose_purpose(caller, None),
            (Variable::Purpose, Change::Show) => return Ok(caller.asker.purpose.clone()),
            (Variable::StatementTimeout, change) => return self.change_timeout(caller, &change).map(Some),
            (Variable::TimeZone, change) => return only_utc(&change).map(Some),
            (_, Change::Show) => return Ok(Some(self.in_force(variable, &caller.place))),
            (Variable::Catalog, Change::Set(catalog)) => self.moved(caller, catalog).await?,
            (Variable::Schema, Change::Set(schema)) => {
                let (catalog, _) = caller.place.or(self.door.own_place());
                self.seen(caller, catalog, Some(schema)).await?
            }
            (Variable::Catalog, Change::Reset) => Place::default(),
            (Variable::Schema, Change::Reset) => Place { schema: None, ..caller.place.clone() },
        };
        let now = self.in_force(variable, &place);
        self.access.choose_place(caller, place)?;
        Ok(Some(now))
    }

    /// The time of the session's statements; what counts is never more than the node's own limit.
    fn change_timeout(&self, caller: &Caller, change: &Change) -> Result<String> {
        let chosen = match change {
            Change::Show => caller.statement_timeout,
            Change::Reset => None,
            Change::Set(text) => {
                let sentence =
                    "a timeout is a number of milliseconds, or one with its unit: ms, s, min or h; 0 is none";
                let timeout = timeout(text).ok_or_else(|| EngineError::new(Code::Type, sentence))?;
                Some(timeout).filter(|timeout| !timeout.is_zero())
            }
        };
        if *change != Change::Show {
            self.access.choose_timeout(caller, chosen)?;
        }
        let own = Duration::from_millis(self.limits.statement_timeout_ms);
        Ok(format!("{}ms", chosen.map_or(own, |chosen| chosen.min(own)).as_millis()))
    }

    /// Another catalog, and the same schema if it is there too.
    async fn moved(&self, caller: &Caller, catalog: String) -> Result<Place> {
        match &caller.place.schema {
            None => self.seen(caller, catalog, None).await,
            same => match self.seen(caller, catalog.clone(), same.clone()).await {
                Err(error) if error.code() == Code::NotFound => self.seen(caller, catalog, None).await,
                found => found,
            },
        }
    }

    /// A schema of some catalog: drivers that set both may name it first.
    async fn anywhere(&self, caller: &Caller, schema: &str) -> Result<Place> {
        let tables = self.door.tables(&caller.asker).await?;
        match tables.iter().any(|table| table.schema == schema) {
            true => Ok(Place { schema: Some(schema.to_string()), ..caller.place.clone() }),
            false => Err(EngineError::new(Code::NotFound, format!("there is no schema `{schema}`"))),
        }
    }

    fn in_force(&self, variable: Variable, place: &Place) -> String {
        let (catalog, schema) = place.or(self.door.own_place());
        if variable == Variable::Schema { schema } else { catalog }
    }

    /// One name is a catalog, or a schema of the current one.
    async fn used(&self, caller: &Caller, names: &[String]) -> Result<Place> {
        match names {
            [catalog, schema] => self.seen(caller, catalog.clone(), Some(schema.clone())).await,
            [name] => match self.seen(caller, name.clone(), None).await {
                Err(error) if error.code() == Code::NotFound => {
                    let (catalog, _) = caller.place.or(self.door.own_place());
                    self.seen(caller, catalog, Some(name.clone())).await.map_err(|_| error)
                }
                found => found,
            },
            _ => Err(EngineError::defect("USE of no name")),
        }
    }

    /// A catalog, and a schema of it, in which the caller sees something. Where no schema is named, the only one, and
    /// `information_schema` where there are several.
    async fn seen(&self, caller: &Caller, catalog: String, schema: Option<String>) -> Result<Place> {
        let tables = self.door.tables(&caller.asker).await?;
        let mut schemas: Vec<&str> =
            tables.iter().filter(|table| table.catalog == catalog).map(|table| table.schema.as_str()).collect();
        schemas.sort_unstable();
        schemas.dedup();
        let not_found = |sentence| Err(EngineError::new(Code::NotFound, sentence));
        let schema = match (schema, schemas.as_slice()) {
            (_, []) => return not_found(format!("there is no catalog `{catalog}`; list them by SHOW CATALOGS")),
            (None, [only]) => (*only).to_string(),
            (None, _) => information_schema::SCHEMA.to_string(),
            (Some(schema), seen) if seen.contains(&schema.as_str()) || schema == information_schema::SCHEMA => schema,
            (Some(schema), _) => {
                return not_found(format!("there is no schema `{catalog}.{schema}`; list them by SHOW SCHEMAS"));
            }
        };
        Ok(Place { catalog: Some(catalog), schema: Some(schema) })
    }

    /// SetSessionOptions: what is wrong with an option is told beside its name. In the order of their
    /// names: a catalog is set before its schema.
    pub(super) async fn set_options(&self, caller: &Caller, request: &[u8]) -> Result<Vec<u8>> {
        let request = SetSessionOptionsRequest::decode(request).map_err(|_| unreadable("SetSessionOptions"))?;
        let options: BTreeMap<String, SessionOptionValue> = request.session_options.into_iter().collect();
        let mut result = SetSessionOptionsResult::default();
        let mut caller = caller.clone();
        for (name, value) in options {
            if let Some(error) = self.set_option(&mut caller, &name, value).await? {
                result.refuse(name, error);
            }
        }
        Ok(result.encode_to_vec())
    }

    async fn set_option(
        &self,
        caller: &mut Caller,
        name: &str,
        value: SessionOptionValue,
    ) -> Result<Option<ErrorValue>> {
        let Some(variable) = Variable::of_name(name) else { return Ok(Some(ErrorValue::InvalidName)) };
        let change = match value.option_value {
            None => Change::Reset,
            Some(OptionValue::Text(text)) => Change::Set(text),
            Some(OptionValue::Integer(ms)) if variable == Variable::StatementTimeout => Change::Set(ms.to_string()),
            Some(_) => return Ok(Some(ErrorValue::InvalidValue)),
        };
        let changed = match (variable, &change) {
            (Variable::Schema, Change::Set(schema)) => match self.change(caller, variable, change.clone()).await {
                Err(error) if error.code() == Code::NotFound => {
                    let place = self.anywhere(caller, schema).await;
                    place.and_then(|place| self.access.choose_place(caller, place)).map(|()| None)
                }
                changed => changed,
            },
            _ => self.change(caller, variable, change).await,
        };
        match changed {
            Ok(now) => {
                if variable == Variable::Catalog {
                    caller.place = Place { catalog: now, schema: None };
                }
                Ok(None)
            }
            Err(error) if matches!(error.code(), Code::Purpose | Code::NotFound | Code::Type) => {
                Ok(Some(ErrorValue::InvalidValue))
            }
            Err(error) => Err(error),
        }
    }

    /// GetSessionOptions.
    pub(super) fn options(&self, caller: &Caller) -> Vec<u8> {
        let (catalog, schema) = caller.place.or(self.door.own_place());
        let settings = [
            (Variable::Purpose, caller.asker.purpose.clone()),
            (Variable::Catalog, Some(catalog)),
            (Variable::Schema, Some(schema)),
            (Variable::StatementTimeout, self.change_timeout(caller, &Change::Show).ok()),
            (Variable::TimeZone, Some(TIME_ZONE.to_string())),
        ];
        let set = settings.into_iter().filter_map(|(variable, value)| Some((variable.name(), value?)));
        GetSessionOptionsResult::of(set).encode_to_vec()
    }
}

//! The session options of Flight SQL, as protobuf has them (`Flight.proto`); arrow-flight leaves them out.

use std::collections::{BTreeMap, HashMap};

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) session_options: BTreeMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    pub(super) value: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// A value; none of the variants means that the option is to be unset.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(super) option_value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

impl SetSessionOptionsResult {
    /// One option and what was wrong with it.
    pub(super) fn refuse(&mut self, name: String, value: ErrorValue) {
        self.errors.insert(name, OptionError { value: value.into() });
    }
}

impl GetSessionOptionsResult {
    /// Options and what is in force of them.
    pub(super) fn of<'a>(options: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let value = |text| SessionOptionValue { option_value: Some(OptionValue::Text(text)) };
        Self { session_options: options.into_iter().map(|(name, text)| (name.to_string(), value(text))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_those_of_the_protocol() {
        let expected = b"\x0a\x0f\x0a\x07purpose\x12\x04\x0a\x02ab";
        assert_eq!(GetSessionOptionsResult::of([("purpose", "ab".to_string())]).encode_to_vec(), expected);
        let request = SetSessionOptionsRequest::decode(expected.as_slice()).unwrap();
        let text = OptionValue::Text("ab".to_string());
        assert_eq!(request.session_options["purpose"].option_value, Some(text));
    }
}

//! Reads a source's options key by key and keeps every fault with its key, where a deserializer would stop at the first.

pub(crate) mod access;
pub(crate) mod secret;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::OptionFault;

/// One table of options being read. What nobody took by the end is an unknown key, and a fault.
#[derive(Debug)]
pub struct OptionReader<'a> {
    options: &'a toml::Table,
    prefix: String,
    known: Vec<&'static str>,
    faults: Vec<OptionFault>,
}

impl<'a> OptionReader<'a> {
    /// Reads `options`; `prefix` stands before each key in a fault (`table[0].`, or nothing).
    pub fn new(options: &'a toml::Table, prefix: impl Into<String>) -> Self {
        Self { options, prefix: prefix.into(), known: Vec::new(), faults: Vec::new() }
    }

    /// The text under `key`, if it is there.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let value = self.take(key)?;
        self.typed(key, value.as_str(), "text in quotes")
    }

    /// The text under `key`; its absence is a fault that says what to write.
    pub fn required_text(&mut self, key: &'static str, meaning: &str) -> Option<&'a str> {
        if !self.options.contains_key(key) {
            self.known.push(key);
            self.fault(key, format!("is missing; write {meaning}"));
            return None;
        }
        self.text(key)
    }

    /// `true` or `false` under `key`, if it is there.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        self.typed(key, value.as_bool(), "`true` or `false`")
    }

    /// The whole number under `key`, if it is there.
    pub fn number(&mut self, key: &'static str, allowed: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(key)?;
        let number = value.as_integer().filter(|number| allowed.contains(number));
        self.typed(key, number, &format!("a whole number from {} to {}", allowed.start(), allowed.end()))
    }

    /// A list of texts under `key`, if it is there.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        let value = self.take(key)?;
        let texts = value.as_array().and_then(|items| items.iter().map(toml::Value::as_str).collect());
        self.typed(key, texts, "a list of texts")
    }

    /// A table of texts under `key`, if it is there.
    pub fn text_by_name(&mut self, key: &'static str) -> Option<Vec<(&'a str, &'a str)>> {
        let value = self.take(key)?;
        let pairs = value
            .as_table()
            .and_then(|table| table.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect());
        self.typed(key, pairs, "a table such as `{ column = \"Utf8\" }`")
    }

    /// The tables under `key`, written `[[source.<key>]]`; none if the key is not there.
    pub fn tables(&mut self, key: &'static str) -> Vec<&'a toml::Table> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let tables = value.as_array().and_then(|items| items.iter().map(toml::Value::as_table).collect());
        self.typed(key, tables, "one or more `[[source.table]]`").unwrap_or_default()
    }

    /// A time in milliseconds, from one to `ms_max`; the default when it is not written or wrong.
    pub fn timeout(&mut self, key: &'static str, ms_max: i64, default_ms: i64) -> Duration {
        Duration::from_millis(self.number(key, 1..=ms_max).unwrap_or(default_ms).unsigned_abs())
    }

    /// Whether `key` is written as a list, where a table would do as well.
    pub fn is_list(&self, key: &str) -> bool {
        self.options.get(key).is_some_and(toml::Value::is_array)
    }

    /// Whether `key` is written at all.
    pub fn has(&self, key: &str) -> bool {
        self.options.contains_key(key)
    }

    /// Records a fault of `key`.
    pub fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(OptionFault::new(format!("{}{key}", self.prefix), message));
    }

    /// Takes over faults that were found elsewhere.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = OptionFault>) {
        self.faults.extend(faults);
    }

    /// All faults, unknown keys last.
    pub fn finish(mut self) -> Vec<OptionFault> {
        let unknown: Vec<_> = self.options.keys().filter(|key| !self.known.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            let known = self.known.join("`, `");
            self.fault(&key, format!("is not an option here; the options are `{known}`"));
        }
        self.faults
    }

    fn take(&mut self, key: &'static str) -> Option<&'a toml::Value> {
        self.known.push(key);
        self.options.get(key)
    }

    fn typed<T>(&mut self, key: &str, value: Option<T>, expected: &str) -> Option<T> {
        if value.is_none() {
            self.fault(key, format!("must be {expected}"));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_kept_and_what_nobody_took_is_unknown() {
        let options: toml::Table = toml::from_str("header = 1\nheadr = true\nname = 'x'").unwrap();
        let mut reader = OptionReader::new(&options, "table[0].");
        assert_eq!(reader.flag("header"), None);
        assert_eq!(reader.text("name"), Some("x"));
        assert_eq!(reader.required_text("path", "a file"), None);
        let faults: Vec<_> = reader.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "`table[0].header`: must be `true` or `false`",
                "`table[0].path`: is missing; write a file",
                "`table[0].headr`: is not an option here; the options are `header`, `name`, `path`",
            ]
        );
    }
}

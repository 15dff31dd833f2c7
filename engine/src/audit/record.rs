//! One record: an entry, its place in the chain, and the one way in which it is written.
//!
//! A record is a line of canonical JSON: keys sorted, no spaces, UTF-8, whole numbers only. Its `hash` is the SHA-256 of
//! the same line without `hash`; its `prev` is the `hash` of the record before it. Who knows one head knows all before it.

use std::fmt::{self, Write};
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::entry::Entry;

/// Where a chain stands: its last record. Given to whoever appends, and kept elsewhere by who wants to find a cut tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The record's number, from 1; 0 before the first.
    pub seq: u64,
    /// The record's hash, 64 hexadecimal digits; zeros before the first.
    pub hash: String,
}

impl Head {
    /// The head of a chain without a record.
    pub fn none() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    /// Reads `seq hash` as it is printed, or `seq:hash`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no head; write it as `chancery audit head` prints it: a number and 64 digits");
        let (seq, hash) = text.trim().split_once([' ', ':']).ok_or_else(wrong)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match seq.parse() {
            Ok(seq) if is_hash => Ok(Self { seq, hash: hash.to_string() }),
            _ => Err(wrong()),
        }
    }
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// The hash of the record before it.
    pub prev: String,
    /// When it was written, by the site's clock: RFC 3339 in UTC with microseconds, never before the record before it.
    pub time: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its own hash.
    pub hash: String,
}

impl Record {
    /// The record's time as an instant, 1970 if it cannot be read.
    pub fn time(&self) -> DateTime<Utc> {
        self.time.parse().unwrap_or_default()
    }
}

/// Writes an entry as the line that follows `before`, with its line end, and says where the chain then stands.
pub(super) fn write(entry: &Entry, before: &Head, time: DateTime<Utc>) -> serde_json::Result<(String, Head)> {
    let mut value = serde_json::to_value(entry)?;
    let seq = before.seq + 1;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("seq".into(), seq.into());
        fields.insert("prev".into(), before.hash.as_str().into());
        fields.insert("time".into(), time.to_rfc3339_opts(SecondsFormat::Micros, true).into());
        let hash = hash_of(&canonical(&Value::Object(fields.clone())));
        fields.insert("hash".into(), hash.into());
    }
    let hash = value.get("hash").and_then(Value::as_str).unwrap_or_default().to_string();
    let mut line = canonical(&value);
    line.push('\n');
    Ok((line, Head { seq, hash }))
}

/// Whether the line is the record that follows `before`, and where the chain then stands.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that begins with the record's number.
pub(super) fn follow(line: &[u8], before: &Head) -> Result<Head, String> {
    let (head, prev) = read_head(line)?;
    let expected = before.seq + 1;
    match head.seq {
        seq if seq > expected => Err(format!("is missing; record {seq} stands in its place")),
        seq if seq < expected => Err(format!("is not there; record {seq} stands in its place")),
        _ if prev != before.hash => Err(format!("does not continue record {}: one of the two was changed", before.seq)),
        _ => Ok(head),
    }
}

/// The line's own place in the chain and the hash it claims for the record before, when the line is as it was written.
pub(super) fn read_head(line: &[u8]) -> Result<(Head, String), String> {
    let mut value: Value = serde_json::from_slice(line).map_err(|_| "cannot be read as a record")?;
    if canonical(&value).as_bytes() != line {
        return Err("is not written as a record is".to_string());
    }
    let fields = value.as_object_mut().ok_or("cannot be read as a record")?;
    let hash = fields.remove("hash");
    let hash = hash.as_ref().and_then(Value::as_str).ok_or("has no hash")?.to_string();
    if hash_of(&canonical(&value)) != hash {
        return Err("was changed: its hash is not that of its content".to_string());
    }
    let seq = value.get("seq").and_then(Value::as_u64).ok_or("has no number")?;
    let prev = value.get("prev").and_then(Value::as_str).ok_or("does not name the record before it")?;
    Ok((Head { seq, hash }, prev.to_string()))
}

/// JSON in the one form that is hashed.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            // Sorted here: whether the map itself keeps an order is a feature that any dependency can switch.
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            write_list(('{', '}'), keys, out, |(key, value), out| {
                write_scalar(&Value::from(key.as_str()), out);
                out.push(':');
                write_canonical(value, out);
            });
        }
        Value::Array(items) => write_list(('[', ']'), items, out, write_canonical),
        scalar => write_scalar(scalar, out),
    }
}

fn write_list<T>(
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    out: &mut String,
    write: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn write_scalar(value: &Value, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn hash_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

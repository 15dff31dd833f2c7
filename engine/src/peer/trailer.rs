//! The trailer: how a site says that its stream is whole. It rides on a last, empty batch, to peers that ask for it.

use arrow_flight::FlightData;
use serde::{Deserialize, Serialize};

use crate::session::queries::QueryId;

/// What was sent, as the sender counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// Rows of all batches.
    pub rows: u64,
    /// BLAKE3 over the query's id, the statement's number and text, and headers and bodies of all messages before the trailer's
    /// own, in hexadecimal.
    pub blake3: String,
}

/// Both ends feed every message into one of these; the trailers they make must be equal.
#[derive(Debug, Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    rows: u64,
}

impl Digest {
    /// Of the answer to one statement of one query: that to another has another trailer.
    pub fn of(query: &QueryId, number: u64, statement: &str) -> Self {
        let mut digest = Self::default();
        for part in [query.as_str(), &number.to_string(), statement] {
            digest.hasher.update(&(part.len() as u64).to_le_bytes());
            digest.hasher.update(part.as_bytes());
        }
        digest
    }

    /// Takes in a message.
    pub fn message(&mut self, data: &FlightData) {
        for part in [&data.data_header, &data.data_body] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
    }

    /// Takes in the rows of a batch.
    pub fn rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    /// The trailer of all that was taken in.
    pub fn trailer(&self) -> Trailer {
        Trailer { rows: self.rows, blake3: self.hasher.finalize().to_hex().to_string() }
    }
}

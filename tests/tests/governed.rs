//! A governed federation from outside: who administers it, whom it believes, for how long, and what it records.
//!
//! What depends on where the rows are (`controls`, `drift`, `evidence`, `lifetimes`) stands in two test binaries: over files
//! here, and over a PostgreSQL server in the other ([`crate::KEPT`]).

mod administration;
mod certified_users;
mod changes;
mod client_certificates;
mod clocks;
mod controls;
mod drift;
mod ending;
mod evidence;
mod federation;
mod floods;
mod handles;
mod handshakes;
mod hostile_tokens;
mod identity;
mod kept_plans;
mod key_sets;
mod lifetimes;
mod openness;
mod power_cuts;
mod quotas;
mod regional;
mod renewal;
mod sign_in;
mod streams;

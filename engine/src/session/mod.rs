//! What one statement runs in: its class, its settings, its record.

pub mod declared;
pub mod options;
pub mod queries;
pub mod statement;
pub mod threads;

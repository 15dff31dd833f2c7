//! What one statement runs in: its class, the pinned options, its purpose, its record, its threads.

pub mod declared;
pub mod functions;
pub mod options;
pub mod queries;
pub mod setting;
pub mod statement;
pub mod told;
pub mod threads;

//! What one statement runs in: its class, the pinned options, its parameters, its purpose, its record, its threads.

pub mod bounded;
pub mod complexity;
pub mod counted;
pub mod declared;
pub mod functions;
pub mod history;
pub mod kept;
pub mod kill;
pub mod memory;
pub mod options;
pub mod parameters;
pub mod place;
pub mod placeholders;
pub mod queries;
pub mod quotas;
pub mod setting;
pub mod spill;
pub mod standard_sql;
pub mod statement;
pub mod tally;
pub mod threads;
pub mod told;
pub mod trace;
pub mod turns;
pub mod watchdog;
pub mod zoned;

//! Names → tables: what a statement may mention, and what is known of each table before anything is asked.

pub mod binder;
pub mod information_schema;
pub mod known_tables;
pub mod listing;
pub mod notes;
pub mod references;
pub mod regional;
pub mod site_table;
pub mod snapshot;
pub mod sql_type;
pub mod system;
pub mod treatment;
pub mod view;

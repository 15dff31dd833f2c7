//! The door: Flight SQL as clients and coordinators speak it, over whatever kind of node stands behind it.

pub mod access;
pub mod door;
pub mod guard;
pub mod handle;
pub mod headers;
mod kept;
pub mod messages;
pub mod metadata;
pub mod rebuild;
pub mod server;
mod session_options;
pub mod sql_info;
pub mod status;
pub mod stream;
pub mod wire_types;

//! The subcommands of `chancery`, one file each: arguments in, exit code out.

pub mod audit;
pub mod certs;
pub mod check_config;
pub mod demo;
pub mod log_format;
pub mod main;
pub mod policy;
pub mod running;
pub mod serve;
pub mod state;
pub mod user;

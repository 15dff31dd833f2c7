//! The physical operators of our own.

pub mod remote_scan;

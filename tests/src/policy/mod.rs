//! Policy seen from outside: worlds that differ only in what is hidden, everything that leaves, and what must not be in it.
//!
//! ```text
//! fixture  sites health, revenue and police with their policies, and a twin whose policy views are the same
//! capture  every byte of one statement's answer: frames, headers, trailers, error, FlightInfo
//! canary   values that only hidden rows hold, looked for in such bytes in every form
//! record   what the sites have recorded of it, and that it is in pairs
//! log      what nodes have logged of it, without what differs from run to run
//! ```

pub mod canary;
pub mod capture;
pub mod fixture;
pub mod log;
pub mod record;

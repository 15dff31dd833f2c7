//! Policy seen from outside: worlds that differ only in what is hidden, everything that leaves, and what must not be in it.
//!
//! ```text
//! fixture  sites health, revenue and police with their policies, and a twin whose policy views are the same
//! capture  every byte of one statement's answer: frames, headers, trailers, error, FlightInfo
//! canary   values that only hidden rows hold, looked for in such bytes in every form
//! ```

pub mod canary;
pub mod capture;
pub mod fixture;

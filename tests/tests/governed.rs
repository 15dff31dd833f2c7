//! A governed federation from outside: who administers it, whom it believes, for how long, and what it records.

mod administration;
mod controls;
mod drift;
mod evidence;
mod federation;
mod identity;
mod lifetimes;
mod openness;
mod regional;
mod sign_in;

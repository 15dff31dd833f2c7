//! What operators do with nodes: stop them, watch them, read their logs and traces, keep and bring back their state.

mod draining;
mod listener;
mod logs;
mod packaging;
mod state;
mod traces;

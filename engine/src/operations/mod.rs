//! What an operator is told of a running node: whether it lives, whether it is ready, numbers, and the spans of statements.
//!
//! - `listener`: plain HTTP, nothing to be changed by it; [`metrics`]: the numbers; `process`: those of the process.
//! - [`traces`]: spans, sent to a collector.
//!
//! It is the administrator's: numbers tell how many rows statements take and how large what nobody may see is. Users have
//! `system.queries`, where each finds their own.
//!
//! **Invariant:** no text of a statement, no value and no name but those of the configuration is told here.

mod listener;
pub mod metrics;
mod process;
pub mod traces;

use std::sync::Arc;

pub use listener::{Listener, bind, listen};

use crate::flight::access::Access;
use crate::flight::door::Door;
use crate::session::turns::Turns;

/// A node as its operator sees it.
#[derive(Clone)]
pub struct Observed {
    /// The node's name.
    pub name: String,
    /// What it does.
    pub door: Arc<dyn Door>,
    /// Who has signed in.
    pub access: Arc<Access>,
    /// What runs and waits.
    pub turns: Arc<Turns>,
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("name", &self.name).finish_non_exhaustive()
    }
}

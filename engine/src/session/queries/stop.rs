//! Why a query is stopped before its end, and what its asker reads then.

use crate::error::{Code, EngineError};

/// Why a query is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its asker cancelled it.
    Cancelled,
    /// An administrator ended it.
    Killed,
    /// A grant that it rests on was revoked.
    Revoked,
    /// A grant that it rests on, or the asker's identity, has ended.
    Expired,
    /// Its reader takes nothing of it.
    Unread,
    /// The process had more memory than these bytes, which it may have, and the query held the most of it.
    Memory(usize),
    /// The node is being stopped, and waits no longer.
    Leaving,
}

impl Stop {
    /// The error that the asker reads.
    pub fn error(self) -> EngineError {
        match self {
            Stop::Cancelled => EngineError::new(Code::Cancelled, "the query was cancelled"),
            Stop::Killed => EngineError::new(Code::Cancelled, "an administrator of this node has ended the query"),
            Stop::Revoked => EngineError::new(
                Code::Revoked,
                "a grant that the query rests on was revoked while it ran; what has arrived of the answer is not whole",
            ),
            Stop::Expired => EngineError::new(
                Code::Expired,
                "a grant or the identity that the query rests on ended while it ran; what has arrived of the answer is \
                 not whole",
            ),
            Stop::Unread => EngineError::new(
                Code::Cancelled,
                "nothing of the answer was taken for so long that the statement was ended (`unread_timeout_ms`); what has \
                 arrived of the answer is not whole: ask again, or for less",
            ),
            Stop::Memory(bytes_max) => EngineError::new(
                Code::Memory,
                format!(
                    "this node had more than the {bytes_max} bytes of memory that its process may have (`process_memory_bytes`), \
                     and the statement held the most of them; what has arrived of the answer is not whole: ask for less at \
                     once, or again later"
                ),
            ),
            Stop::Leaving => EngineError::new(
                Code::Cancelled,
                "this node is being stopped and waits no longer for the statement to end (`drain_timeout_s`); what has \
                 arrived of the answer is not whole: ask again",
            ),
        }
    }
}

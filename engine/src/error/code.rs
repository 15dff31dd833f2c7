//! The closed table of codes, and what a caller can do about each.

use std::fmt;

/// What happened, as a client sees it in front of the sentence (`CODE: sentence`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not SQL.
    Syntax,
    /// The statement's types do not fit together.
    Type,
    /// A construct that is not offered.
    Unsupported,
    /// A class of statement that is refused here.
    Statement,
    /// A function that is refused here.
    Function,
    /// A budget before parsing or planning is exceeded.
    Complexity,
    /// An estimate beyond the limit.
    Cost,
    /// Unknown, forbidden, hidden, or somebody else's handle: all alike.
    NotFound,
    /// No identity, or none that is believed here.
    Unauthenticated,
    /// No purpose, or one that the subject does not hold.
    Purpose,
    /// A grant was revoked while the query ran.
    Revoked,
    /// A grant or an identity ended while the query ran.
    Expired,
    /// A cap of the grant or the subject.
    Cap,
    /// A use of an aggregate-only column that policy refuses.
    Aggregate,
    /// A movement between sites that policy refuses.
    Disclosure,
    /// A failure that depends on a value: cast, overflow, division.
    Eval,
    /// A memory limit.
    Memory,
    /// A time limit.
    Deadline,
    /// The query was cancelled.
    Cancelled,
    /// A limit on how much is done at once; try again.
    Busy,
    /// A site cannot be reached, or went away.
    SiteUnavailable,
    /// A site sent what it must not.
    SiteProtocol,
    /// A site's view has moved on since the statement was planned.
    Stale,
    /// Evidence cannot be written, so nothing is served.
    Audit,
    /// The policy of a site cannot be read; told to its administrators only.
    Policy,
    /// The configuration is wrong.
    Config,
    /// A defect of this program.
    Internal,
}

/// What a caller can do about an error; coarser than [`Code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the field's and say it all")]
pub enum Kind {
    InvalidQuery,
    NotFound,
    Unauthenticated,
    Forbidden,
    Unsupported,
    ResourceExhausted,
    DeadlineExceeded,
    Cancelled,
    SiteUnavailable,
    Internal,
}

impl Code {
    /// Every code, so that a name can be read back.
    pub const ALL: [Code; 27] = [
        Code::Syntax,
        Code::Type,
        Code::Unsupported,
        Code::Statement,
        Code::Function,
        Code::Complexity,
        Code::Cost,
        Code::NotFound,
        Code::Unauthenticated,
        Code::Purpose,
        Code::Revoked,
        Code::Expired,
        Code::Cap,
        Code::Aggregate,
        Code::Disclosure,
        Code::Eval,
        Code::Memory,
        Code::Deadline,
        Code::Cancelled,
        Code::Busy,
        Code::SiteUnavailable,
        Code::SiteProtocol,
        Code::Stale,
        Code::Audit,
        Code::Policy,
        Code::Config,
        Code::Internal,
    ];

    /// The code as clients see it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Syntax => "SYNTAX",
            Code::Type => "TYPE",
            Code::Unsupported => "UNSUPPORTED",
            Code::Statement => "STATEMENT",
            Code::Function => "FUNCTION",
            Code::Complexity => "COMPLEXITY",
            Code::Cost => "COST",
            Code::NotFound => "NOT_FOUND",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Purpose => "PURPOSE",
            Code::Revoked => "REVOKED",
            Code::Expired => "EXPIRED",
            Code::Cap => "CAP",
            Code::Aggregate => "AGGREGATE",
            Code::Disclosure => "DISCLOSURE",
            Code::Eval => "EVAL",
            Code::Memory => "MEMORY",
            Code::Deadline => "DEADLINE",
            Code::Cancelled => "CANCELLED",
            Code::Busy => "BUSY",
            Code::SiteUnavailable => "SITE_UNAVAILABLE",
            Code::SiteProtocol => "SITE_PROTOCOL",
            Code::Stale => "STALE",
            Code::Audit => "AUDIT",
            Code::Policy => "POLICY",
            Code::Config => "CONFIG",
            Code::Internal => "INTERNAL",
        }
    }

    /// The code of that name, when there is one.
    pub fn from_name(name: &str) -> Option<Code> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// What a caller can do about it.
    pub fn kind(self) -> Kind {
        match self {
            Code::Syntax | Code::Type | Code::Statement | Code::Function | Code::Complexity | Code::Eval => {
                Kind::InvalidQuery
            }
            Code::NotFound => Kind::NotFound,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::Purpose | Code::Revoked | Code::Expired | Code::Aggregate | Code::Disclosure | Code::Policy => {
                Kind::Forbidden
            }
            Code::Unsupported => Kind::Unsupported,
            Code::Memory | Code::Busy | Code::Cost | Code::Cap => Kind::ResourceExhausted,
            Code::Deadline => Kind::DeadlineExceeded,
            Code::Cancelled => Kind::Cancelled,
            Code::SiteUnavailable | Code::Audit => Kind::SiteUnavailable,
            Code::SiteProtocol | Code::Stale | Code::Config | Code::Internal => Kind::Internal,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }
}

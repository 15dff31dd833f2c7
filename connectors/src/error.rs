//! What can go wrong between a source and a query, named by what the caller can do about it.

use std::fmt;

use datafusion_common::DataFusionError;
use thiserror::Error;

/// The kinds an error of Chancery may have; one list for every crate that reports to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The statement or an argument is wrong; changing it helps.
    InvalidQuery,
    /// The named thing is not there.
    NotFound,
    /// The source did not believe who we are.
    Unauthenticated,
    /// The source knows who we are and refuses.
    Forbidden,
    /// The request is understood and not offered here.
    Unsupported,
    /// A limit was met.
    ResourceExhausted,
    /// Time ran out.
    DeadlineExceeded,
    /// The caller gave up.
    Cancelled,
    /// The source cannot be reached or moved on meanwhile; trying again may help.
    SiteUnavailable,
    /// The source's configuration or data is broken, or we are.
    Internal,
}

/// One wrong option of a source: where it stands, what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionFault {
    /// The option as the configuration spells it, for example `table[1].delimiter`; empty for the source as a whole.
    pub key: String,
    /// What is wrong and what to write instead: one line, lower case, no final period.
    pub message: String,
}

impl OptionFault {
    /// A fault of the option `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for OptionFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return out.write_str(&self.message);
        }
        write!(out, "`{}`: {}", self.key, self.message)
    }
}

/// An error of a connector. `Display` is one line without its source; the chain is for the site's log.
#[derive(Debug, Error)]
pub enum ConnectorError {
    /// Options of the source are wrong: correct the configuration.
    #[error("source `{source_name}` is not configured correctly: {}", list(faults))]
    Configuration {
        /// The source, as the configuration names it.
        source_name: String,
        /// Every fault that was found.
        faults: Vec<OptionFault>,
    },
    /// The source has no such table.
    #[error("table `{table}` is not in this source")]
    TableNotFound {
        /// The name that was asked for.
        table: String,
    },
    /// The source holds data that cannot be served as configured: correct the data or the table's options.
    #[error("{location}: {detail}; {advice}")]
    InvalidData {
        /// The file, table or column.
        location: String,
        /// What is wrong with it.
        detail: String,
        /// What to do about it.
        advice: String,
        /// What the reader said, if a reader said it. It may quote a value, so it is for the log.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The source's content changed while it was read: ask again.
    #[error("{location}: changed while it was read; ask again")]
    Changed {
        /// The file or table.
        location: String,
    },
    /// The source cannot be reached or read at present.
    #[error("{location}: cannot be read")]
    Unavailable {
        /// The file, directory or server.
        location: String,
        /// What the operating system or the driver said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server does not believe who we are: correct the source's account or password.
    #[error("{location}: the server does not accept the source's account")]
    Unauthenticated {
        /// The server.
        location: String,
        /// What the server said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server knows the account and refuses: grant it what is lacking.
    #[error("{location}: may not be read by the source's account")]
    Forbidden {
        /// The table or server.
        location: String,
        /// What the server said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A limit of the server, or of ours towards it, is met: ask again later.
    #[error("{location}: has no connection or memory left; ask again later")]
    Exhausted {
        /// The table or server.
        location: String,
        /// What the server said, or which limit it is.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server gave up after the time that the source allows it.
    #[error("{location}: was not read within the time allowed")]
    DeadlineExceeded {
        /// The table or server.
        location: String,
        /// What the server said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody at the server ended what it did for us.
    #[error("{location}: was cancelled at the server")]
    Cancelled {
        /// The table or server.
        location: String,
        /// What the server said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connector does not offer this.
    #[error("{feature} is not supported; {advice}")]
    Unsupported {
        /// What was asked for.
        feature: String,
        /// What to do instead.
        advice: String,
    },
    /// DataFusion refused something of ours: a bug.
    #[error("the connector failed at {step}")]
    Internal {
        /// What was being done.
        step: &'static str,
        /// What DataFusion said.
        #[source]
        cause: DataFusionError,
    },
}

/// Why a source could not be read, in words of ours: no value of its data, no secret and no word of its server is in them, so
/// a log may tell them.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Reason(String);

impl Reason {
    /// One line, lower case, no final period.
    pub fn new(told: impl Into<String>) -> Self {
        Self(told.into())
    }
}

impl ConnectorError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TableNotFound { .. } => ErrorKind::NotFound,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Changed { .. } | Self::Unavailable { .. } => ErrorKind::SiteUnavailable,
            Self::Unauthenticated { .. } => ErrorKind::Unauthenticated,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::Exhausted { .. } => ErrorKind::ResourceExhausted,
            Self::DeadlineExceeded { .. } => ErrorKind::DeadlineExceeded,
            Self::Cancelled { .. } => ErrorKind::Cancelled,
            Self::Configuration { .. } | Self::InvalidData { .. } | Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// Data at `location` is wrong in the way `detail` says.
    pub fn invalid_data(location: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::InvalidData { location: location.into(), detail: detail.into(), advice: advice.into(), cause: None }
    }

    /// `location` cannot be read, for the reason `cause`.
    pub fn unavailable(
        location: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { location: location.into(), cause: cause.into() }
    }

    /// The first error of ours in the chain of causes of `error`, however deep readers of files have wrapped it.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let ours = error.downcast_ref::<Self>().or_else(|| error.downcast_ref::<Box<Self>>().map(AsRef::as_ref));
            if ours.is_some() {
                return ours;
            }
            next = error.source();
        }
        None
    }
}

/// Inside a plan ours travel as `External`, so that the engine finds them again by type.
impl From<ConnectorError> for DataFusionError {
    fn from(error: ConnectorError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

fn list(faults: &[OptionFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_error_names_every_fault_by_its_key() {
        let error = ConnectorError::Configuration {
            source_name: "ontime".into(),
            faults: vec![OptionFault::new("root", "is missing"), OptionFault::new("", "no tables")],
        };
        assert_eq!(error.to_string(), "source `ontime` is not configured correctly: `root`: is missing; no tables");
    }

    #[test]
    fn display_leaves_the_cause_to_the_log() {
        let error = ConnectorError::unavailable("a.csv", "a value of 7");
        assert_eq!(error.to_string(), "a.csv: cannot be read");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "a value of 7");
    }
}

//! What is wrong in a configuration: every fault with its file and key, collected and told together.

use std::fmt;

use crate::error::{Code, EngineError};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file as it was named to us.
    pub file: String,
    /// The key (`source[1].kind`), empty when the file as a whole is wrong.
    pub key: String,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            key => write!(f, "{}: `{key}`: {}", self.file, self.message),
        }
    }
}

/// Everything that is wrong in the files that were read; never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl From<ConfigFaults> for EngineError {
    fn from(faults: ConfigFaults) -> Self {
        EngineError::new(Code::Config, faults.to_string())
    }
}

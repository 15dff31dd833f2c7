//! Everything that ends a statement or the shell other than well, with what the user reads and the exit status.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use arrow::error::ArrowError;
use arrow_flight::error::FlightError;

use crate::flight::headers;

/// The status of a program that the user interrupted, as shells have it: 128 and the number of the signal.
const EXIT_INTERRUPTED: u8 = 130;

/// A failure, as the user will read it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShellError {
    /// The command line, or a file it names, is not usable.
    #[error("{0}")]
    Usage(String),

    /// There is no working connection to the server.
    #[error("{0}")]
    Connection(String),

    /// The server does not let this user in.
    #[error("{message} (signing in as {user})")]
    SignIn { user: String, message: String },

    /// A statement that cannot be told from the next one.
    #[error("SYNTAX: {message} at line {line}, column {column}")]
    Syntax { message: String, line: u64, column: u64 },

    /// A backslash command that is not one, or finds nothing.
    #[error("{0}")]
    Command(String),

    /// The server's own words about a statement.
    #[error("{message}{}", .query_id.as_ref().map(|id| format!("\nquery {id}")).unwrap_or_default())]
    Refused { message: String, query_id: Option<String> },

    /// An answer that is not what Flight SQL promises, or holds a type that this format cannot show.
    #[error("the answer cannot be shown: {0}")]
    Answer(String),

    /// The user interrupted the statement.
    #[error("cancelled")]
    Cancelled,

    /// Standard output, or the file in its place, does not take the result.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),

    /// The prompt does not work.
    #[error("cannot read from the terminal: {0}")]
    Prompt(String),
}

impl ShellError {
    /// Whether the reader of standard output has seen enough (`| head`), which is no failure.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Connection(_) | Self::SignIn { .. } | Self::Prompt(_) => ExitCode::from(2),
            Self::Syntax { .. } | Self::Command(_) | Self::Refused { .. } | Self::Answer(_) | Self::Output(_) => {
                ExitCode::from(1)
            }
            Self::Cancelled => ExitCode::from(EXIT_INTERRUPTED),
        }
    }
}

impl From<FlightError> for ShellError {
    fn from(error: FlightError) -> Self {
        let FlightError::Tonic(status) = error else {
            return Self::Answer(error.to_string());
        };
        // Only a status that was made on this side of the wire has a source: the transport's own error.
        if status.source().is_some() {
            return Self::Connection(format!("the connection was lost: {}", innermost_reason(status.as_ref())));
        }
        let query_id = status.metadata().get(headers::QUERY_ID);
        Self::Refused {
            message: coded(status.message(), status.code()),
            query_id: query_id.and_then(|id| id.to_str().ok().map(str::to_owned)),
        }
    }
}

impl From<ArrowError> for ShellError {
    fn from(error: ArrowError) -> Self {
        Self::Answer(error.to_string())
    }
}

/// The server's message as `CODE: sentence`. Chancery sends it so; other servers send the sentence alone.
fn coded(message: &str, code: tonic::Code) -> String {
    match message.split_once(": ") {
        Some((word, _)) if is_code(word) => message.to_owned(),
        _ if message.is_empty() => format!("{code:?}: {code}"),
        _ => format!("{code:?}: {message}"),
    }
}

fn is_code(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// The last word in a chain of errors, in which the layers above only say that something went wrong.
pub(super) fn innermost_reason(error: &(dyn Error + 'static)) -> String {
    let mut reason = error.to_string();
    let mut next = Some(error);
    while let Some(current) = next {
        reason = match current.downcast_ref::<io::Error>() {
            Some(system) if system.raw_os_error().is_some() => system.kind().to_string(),
            _ => current.to_string(),
        };
        next = current.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_one_code() {
        for (message, expect) in [
            ("SYNTAX: no such word", "SYNTAX: no such word"),
            ("NOT_FOUND: t", "NOT_FOUND: t"),
            ("table t: not there", "InvalidArgument: table t: not there"),
            ("", "InvalidArgument: Client specified an invalid argument"),
        ] {
            assert_eq!(coded(message, tonic::Code::InvalidArgument), expect);
        }
    }

    #[test]
    fn the_query_id_stands_below_the_message() {
        let error = ShellError::Refused { message: "TYPE: no".to_owned(), query_id: Some("q7".to_owned()) };
        assert_eq!(error.to_string(), "TYPE: no\nquery q7");
    }

    #[test]
    fn the_system_has_the_last_word() {
        let refused = ShellError::Output(io::Error::from_raw_os_error(111));
        assert_eq!(innermost_reason(&refused), "connection refused");
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        assert!(ShellError::Output(io::ErrorKind::BrokenPipe.into()).is_closed_pipe());
        assert!(!ShellError::Output(io::ErrorKind::StorageFull.into()).is_closed_pipe());
    }
}

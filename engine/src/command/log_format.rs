//! How a server's log is written.

/// How the lines of a log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// Each line a JSON object; what is said of a statement has `query_id`, `trace_id`, `node` and `subject` in its `span`.
    Json,
}

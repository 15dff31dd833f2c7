//! The names of our gRPC headers.

/// The identity of an execution, on every answer; from a coordinator also on requests.
pub const QUERY_ID: &str = "x-chancery-query-id";
/// From a peer: `1` asks for a trailer.
pub const TRAILER: &str = "x-chancery-trailer";
/// From a peer: how to compress batches, `none`, `lz4` or `zstd`.
pub const COMPRESSION: &str = "x-chancery-compression";
/// From a peer: JSON of `source.table` → version, what the statement was planned with.
pub const VERSIONS: &str = "x-chancery-versions-bin";
/// From a peer: on whose behalf it asks.
pub const SUBJECT: &str = "x-chancery-subject-bin";

//! The names of our gRPC headers.

/// The identity of an execution, on every answer; from a coordinator also on requests.
pub const QUERY_ID: &str = "x-chancery-query-id";
/// On an answer of BUSY: after how many milliseconds to ask again, by the name that gRPC has for it.
pub const RETRY_AFTER: &str = "grpc-retry-pushback-ms";
/// From a peer: `1` asks for a trailer.
pub const TRAILER: &str = "x-chancery-trailer";
/// From a peer or a user: how to compress batches, `none`, `lz4` or `zstd`.
pub const COMPRESSION: &str = "x-chancery-compression";
/// From a peer: JSON of `source.table` → version, what the statement was planned with.
pub const VERSIONS: &str = "x-chancery-versions-bin";
/// From a peer: JSON of the columns whose values it will send on to other sites.
pub const KEYS_TO: &str = "x-chancery-keys-to-bin";
/// From a peer: on whose behalf it asks, signed (`identity/delegation.rs`).
pub const DELEGATION: &str = "x-chancery-delegation-bin";
/// From a peer: the number of the statement within its query.
pub const FRAGMENT: &str = "x-chancery-fragment";
/// From anybody: the trace that the call belongs to (W3C Trace Context); to the sites the same trace.
pub const TRACE: &str = "traceparent";
/// From a user: the purpose that this call is for, UTF-8.
pub const PURPOSE: &str = "x-chancery-purpose";
/// The same under the name that clients of other servers know.
pub const PURPOSE_ALIAS: &str = "purpose";

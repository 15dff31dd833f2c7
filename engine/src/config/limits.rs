//! Every queue, retry, message and buffer of a node has its limit here: name, default, range. Overridden in `[limits]`.

use super::raw::Section;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE_MS: u64 = 60 * 1_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;
/// What a process has beside its statements.
#[expect(clippy::cast_possible_truncation, reason = "a constant, and a node has 64 bits")]
const REST_BYTES: usize = (512 * MIB) as usize;
/// More than anybody reads in a day.
const UNLIMITED: u64 = 1 << 60;

/// Writes the struct, its defaults and its reader from one table, so that a limit is added in one place.
macro_rules! limits {
    ($($(#[$doc:meta])+ $name:ident: $type:ty = $default:expr, $range:expr;)+) => {
        /// The limits of a node; the unit is the end of the name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            #[expect(clippy::cast_possible_truncation, reason = "constants, and a node has 64 bits")]
            fn default() -> Self {
                Self { $($name: $default as $type,)+ }
            }
        }

        impl Limits {
            /// Takes every limit that the section sets.
            fn read_each(&mut self, section: &mut Section<'_>) {
                $(if let Some(value) = section.number(stringify!($name), $range) {
                    self.$name = value;
                })+
            }
        }
    };
}

limits! {
    /// How long a connection to a site may take to open, TLS included.
    connect_timeout_ms: u64 = 5_000, 10..=10 * MINUTE_MS;
    /// How long a TLS handshake may take before a node drops the caller.
    handshake_timeout_ms: u64 = 10_000, 10..=10 * MINUTE_MS;
    /// TLS handshakes under way at once; whoever comes then is accepted, and the oldest of them dropped.
    handshakes_max: usize = KIB, 1..=MIB;
    /// How long a site may take from the request to its first message: the site's deadline.
    first_message_timeout_ms: u64 = MINUTE_MS, 10..=HOUR_MS;
    /// How long a site's stream may be silent between two messages.
    idle_timeout_ms: u64 = MINUTE_MS, 10..=HOUR_MS;
    /// How long a statement may run, from its admission to its last row.
    statement_timeout_ms: u64 = 10 * MINUTE_MS, 10..=7 * 24 * HOUR_MS;
    /// How long an answer is kept for a client that takes nothing of it; then its statement is cancelled. 0 keeps it for as long
    /// as a statement may run.
    unread_timeout_ms: u64 = MINUTE_MS, 0..=7 * 24 * HOUR_MS;
    /// The largest gRPC message that is accepted.
    message_bytes_max: usize = 64 * MIB, MIB..=2 * GIB - 1;
    /// What one batch of a site's answer, or of a client's parameters, may take once it is decompressed.
    decoded_batch_bytes_max: usize = 64 * MIB, MIB..=2 * GIB - 1;
    /// The size that outgoing record batches are cut to; clients commonly refuse messages above 4 MiB.
    flight_data_bytes_target: usize = 2 * MIB, 16 * KIB..=64 * MIB;
    /// The same for coordinators, which take larger ones: what comes in one piece is passed on without being built anew. Not more
    /// than a coordinator's `message_bytes_max` and `decoded_batch_bytes_max`.
    peer_data_bytes_target: usize = 4 * MIB, 16 * KIB..=64 * MIB;
    /// The largest header list of one call.
    metadata_bytes_max: u32 = 64 * KIB, 8 * KIB..=MIB;
    /// Rows of the first batch of an answer: small, so that the first row comes early.
    first_batch_rows: usize = 4_096, 1..=MIB;
    /// Rows of a batch once a stream has grown.
    batch_rows: usize = 65_536, 1..=MIB;
    /// Values of a batch, rows times columns.
    batch_values_max: usize = 4 * MIB, 1..=1 << 40;
    /// The size that a batch of an answer is aimed at, by the size of the rows before it; messages are cut from it.
    batch_bytes_target: usize = 64 * MIB, 64 * KIB..=GIB;
    /// The longest statement that is parsed.
    statement_bytes_max: usize = MIB, KIB..=64 * MIB;
    /// Words and signs of a statement that people write.
    statement_tokens_max: usize = 20_000, 100..=MIB;
    /// Words and signs of a statement that a coordinator writes: each step names every column.
    fragment_tokens_max: usize = 200_000, 100..=4 * MIB;
    /// How long a chain of operators may be, and how high an expression: `1 + 1 + …` is as high as it is long.
    operators_per_chain_max: usize = 200, 10..=1_000;
    /// How deep parentheses and CASEs may nest.
    nesting_depth_max: usize = 40, 4..=100;
    /// Parts of UNION, INTERSECT and EXCEPT in one statement.
    set_operation_arms_max: usize = 64, 2..=1_000;
    /// Bytes of the long literals of a statement together, and of the value of each of its subqueries: each row that has them
    /// holds them.
    literal_bytes_max: usize = 64 * KIB, KIB..=64 * MIB;
    /// How often columns of a table may stand in one expression once the columns of subqueries are written out in it.
    expanded_columns_max: usize = 5_000, 100..=1 << 40;
    /// Items of one IN list.
    in_list_items_max: usize = 5_000, 10..=MIB;
    /// Grouping sets that one GROUP BY stands for; CUBE doubles them with each of its parts.
    grouping_sets_max: usize = 1_024, 1..=64 * KIB;
    /// Tables, subqueries and SELECTs that a statement reads, each named part of a WITH as often as it is named.
    statement_relations_max: usize = 1_000, 10..=100_000;
    /// How long a handle or ticket can be redeemed.
    handle_lifetime_s: u64 = 600, 1..=DAY_S;
    /// How long a session lives after its last use.
    session_lifetime_s: u64 = 8 * HOUR_S, 1..=7 * DAY_S;
    /// Sessions open at once; a handshake above it is answered BUSY.
    sessions_max: usize = 10_000, 1..=MIB;
    /// Sessions open at once for one user; one more ends the user's least recently used.
    sessions_per_user_max: usize = 1_000, 1..=MIB;
    /// Statements of coordinators remembered in ten minutes, so that none is accepted twice; one more is answered BUSY.
    delegations_max: usize = 4 * MIB, KIB..=256 * MIB;
    /// How long a password that was found right need not be hashed again.
    password_proof_lifetime_s: u64 = 300, 0..=HOUR_S;
    /// Passwords remembered as right at once.
    password_proofs_max: usize = 10_000, 1..=MIB;
    /// Passwords hashed at once; each takes a core and 19 MiB for some 50 ms.
    password_checks_max: usize = 4, 1..=1_024;
    /// Passwords waiting to be hashed; one more is answered BUSY.
    password_queue_max: usize = 256, 1..=MIB;
    /// Wrong passwords for one name from one address before whoever sends them must wait: a second, then twice as long each time.
    password_failures_free: u32 = 10, 1..=1_000;
    /// The longest of these waits.
    password_wait_s_max: u64 = 300, 1..=DAY_S;
    /// Names and addresses of wrong passwords that are remembered.
    password_guessers_max: usize = 10_000, 1..=MIB;
    /// How old the keys that an issuer publishes may become before it is asked for them again.
    issuer_keys_refresh_s: u64 = 300, 1..=DAY_S;
    /// How long an issuer is left alone after it was asked for its keys, whatever keys tokens name.
    issuer_keys_retry_s: u64 = 10, 1..=HOUR_S;
    /// How long an issuer's last keys are believed while it does not answer.
    issuer_keys_kept_s: u64 = DAY_S, 1..=30 * DAY_S;
    /// How long an issuer may take for one answer.
    issuer_timeout_ms: u64 = 5_000, 10..=MINUTE_MS;
    /// The longest document or key set of an issuer that is read.
    issuer_answer_bytes_max: usize = 256 * KIB, KIB..=16 * MIB;
    /// Finished queries that `system.queries.recent` and the ledger remember.
    recent_queries_max: usize = 1_000, 1..=MIB;
    /// Queries running at once; one more waits for its turn.
    running_queries_max: usize = 256, 1..=64 * KIB;
    /// Queries of one subject running at once; one more waits for its turn.
    subject_running_queries_max: usize = 64, 1..=64 * KIB;
    /// Statements of one subject begun in a minute; one more is answered BUSY. A burst of all of them is one.
    subject_statements_per_minute: u64 = 100_000, 1..=1 << 40;
    /// Rows sent to one subject in a day (UTC) as this node counts them; more end with CAP.
    subject_rows_per_day: u64 = UNLIMITED, 1..=UNLIMITED;
    /// Bytes of rows sent to one subject in a day, likewise.
    subject_bytes_per_day: u64 = UNLIMITED, 1..=UNLIMITED;
    /// Queries waiting for their turn; one more is answered BUSY.
    queued_queries_max: usize = 256, 0..=64 * KIB;
    /// How long a query waits for its turn; then it is answered BUSY.
    queue_timeout_ms: u64 = 5_000, 0..=10 * MINUTE_MS;
    /// After how long a client is told to ask again when it is answered BUSY.
    busy_retry_ms: u64 = 1_000, 10..=10 * MINUTE_MS;
    /// Rows of one answer; a statement with more ends with CAP.
    answer_rows_max: u64 = 1_000_000_000, 1..=1 << 60;
    /// Memory that the queries of one subject share, of what all share.
    subject_memory_bytes: usize = 2 * GIB, 16 * MIB..=1 << 50;
    /// Memory that all queries of the node share.
    memory_bytes: usize = 4 * GIB, 16 * MIB..=1 << 50;
    /// Memory that the process may have in all, as the system counts it: what `memory_bytes` counts and what nobody does. Above it
    /// the statement that holds the most ends with MEMORY. 0 takes a quarter more than `memory_bytes`, and 512 MiB.
    process_memory_bytes: usize = 0, 0..=1 << 50;
    /// What all queries of the node may put on its disk, sealed, when they do not fit into memory; then they end with MEMORY.
    spill_bytes_max: u64 = 16 * GIB, MIB..=1 << 50;
    /// Pairs of rows that a join without an equality compares before it lets others have their turn.
    join_step_pairs_max: u64 = 1_000_000, 1_000..=10_000_000;
    /// Pairs of rows that a join without an equality compares at most; a statement that needs more is answered COST.
    join_pairs_max: u64 = 1_000_000_000, 1_000..=1 << 60;
    /// What one function may make of one batch of rows, outside the memory that queries share; more is answered MEMORY. A join
    /// may repeat four times as many bytes of wide rows before it hands on a batch.
    function_bytes_max: usize = 128 * MIB, MIB..=1 << 40;
    /// Threads a query is spread over; 0 takes the number of cores.
    target_partitions: usize = 0, 0..=1_024;
    /// How much of one answer of a site may be on its way unread; more than bandwidth times delay of the slowest link.
    stream_window_bytes: u32 = 8 * MIB, 64 * KIB..=GIB;
    /// Calls at once on one connection of a client or a coordinator.
    calls_per_connection_max: u32 = 1_024, 1..=MIB;
    /// How old a site's view may become before a coordinator asks for it again.
    view_refresh_interval_ms: u64 = 30_000, 100..=HOUR_MS;
    /// How long a site that did not answer is taken to be down before it is asked for its view again.
    view_retry_interval_ms: u64 = 1_000, 10..=HOUR_MS;
    /// Views of one site that a coordinator keeps, one for each kind of asker.
    views_per_site_max: usize = 1_000, 1..=MIB;
    /// Plans that a node keeps for when the same is asked again; 0 plans everything anew.
    kept_plans_max: usize = 500, 0..=100_000;
    /// Parameters of one statement.
    parameters_max: usize = 1_000, 1..=MIB;
    /// The largest row of parameters that is bound to a statement, as it is kept: without dictionaries, runs and views, and with what
    /// is made on the way to that.
    parameter_bytes_max: usize = MIB, KIB..=64 * MIB;
    /// Keys of one key set: a coordinator gives larger ones up, a site refuses them.
    key_set_keys_max: usize = 2 * MIB, 1..=64 * MIB;
    /// Bytes of one key set as it is sent; well below `message_bytes_max`.
    key_set_bytes_max: usize = 16 * MIB, KIB..=GIB;
    /// Rows of a fragment that a coordinator holds until it knows their keys; of larger ones it sends none.
    key_source_bytes_max: usize = 256 * MIB, KIB..=64 * GIB;
    /// How often an idle connection is asked whether its other end still lives.
    keepalive_interval_s: u64 = 20, 1..=HOUR_S;
    /// After so long a connection takes no new call, and is closed when those on it have ended; 0 is never. For a coordinator
    /// behind a balancer of load that is to spread its clients anew. Clients connect again by themselves; those of gRPC's own
    /// libraries repeat a call that crosses with the end, others may be told `UNAVAILABLE` once.
    connection_age_s: u64 = 0, 0..=DAY_S;
    /// How often a stream that has no row yet sends an empty batch, so that no proxy takes it for dead; well below the
    /// `idle_timeout_ms` of the coordinators.
    empty_batch_interval_ms: u64 = 20_000, 10..=HOUR_MS;
    /// How long a node that is told to stop lets run what runs; then it is cancelled.
    drain_timeout_s: u64 = 30, 0..=HOUR_S;
    /// The size at which a segment of the audit log is followed by a new one.
    audit_segment_bytes: u64 = 64 * MIB, KIB..=4 * GIB;
    /// How long a statement waits for its audit record to be on the disk; then it is refused.
    audit_timeout_ms: u64 = 5_000, 10..=10 * MINUTE_MS;
    /// Audit records waiting to be written, the end of each running statement among them; one more is refused.
    audit_queue_max: usize = 10_000, 2..=MIB;
    /// Refusals recorded in a minute of calls that nobody was believed for; more are only counted.
    audit_strangers_per_minute: u64 = 60, 1..=MIB;
}

impl Limits {
    /// The defaults, with what `[limits]` overrides.
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut limits = Self::default();
        let Some(mut section) = section else { return limits };
        limits.read_each(&mut section);
        limits.check_order(&section);
        section.finish();
        limits
    }

    /// What the process may have in memory.
    pub fn process_memory_bytes_max(&self) -> usize {
        let with_the_rest = self.memory_bytes.saturating_add(self.memory_bytes / 4).saturating_add(REST_BYTES);
        if self.process_memory_bytes == 0 { with_the_rest } else { self.process_memory_bytes }
    }

    fn check_order(&self, section: &Section<'_>) {
        let ordered = [
            ("first_batch_rows", self.first_batch_rows, "batch_rows", self.batch_rows),
            ("flight_data_bytes_target", self.flight_data_bytes_target, "message_bytes_max", self.message_bytes_max),
            ("sessions_per_user_max", self.sessions_per_user_max, "sessions_max", self.sessions_max),
            ("memory_bytes", self.memory_bytes, "process_memory_bytes", self.process_memory_bytes_max()),
        ];
        for (smaller, small, larger, large) in ordered {
            if small > large {
                section.fault(smaller, format!("{small} is more than `{larger}`, which is {large}"));
            }
        }
    }
}

//! Attacks on policy, by the numbers that the policy paper gives them: a curious user with any SQL, at a site's own door and
//! through the coordinator, in two worlds that differ only in what that user may not see.
//!
//! ```text
//! rows        what is hidden by a row filter stays so: errors, order, coercion, every path to a table
//! masks       what is masked stays so: comparison, order, derivation, statements that write
//! aggregates  what is told as aggregates only
//! error_text  what is shown is told as rows, and not in an error
//! residue     the bytes of hidden values, of every type and mask
//! metadata    names, options, counts, functions that tell of files; joins across sites
//! errors      every error in a word of ours and a sentence, whatever broke
//! literals    what an asker wrote is in no log and no record
//! standing    what holds at the end of every attack: logs, disks, records, memory
//! server      and, where a server holds the tables, what it was asked
//! ```
//!
//! Each statement is asked at both doors in both worlds, and every byte that leaves is kept: the worlds' bytes are equal, and
//! no canary is in them. What a statement must answer is computed by DataFusion over the rows that the user may see, and no
//! others. A test runs all its attacks and then tells every one that succeeded.
//!
//! The tree stands in two of the test binaries: in one the sites' tables are files, in the other they are in a PostgreSQL
//! server ([`crate::KEPT`]). The server's log is then one more thing that nothing hidden may be in.

mod aggregates;
mod error_text;
mod errors;
mod literals;
mod masks;
mod metadata;
mod residue;
mod rows;
mod server;
mod standing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use arrow_flight::sql::Any;
use datafusion::prelude::SessionContext;
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Governance, Options, Person};
use harness::dataset::{Dataset, local_context};
use harness::oracle::{Answer, local_answer};
use harness::policy::canary::Sweep;
use harness::policy::capture::{Capture, RawClient};
use harness::policy::fixture::canaries;
use harness::policy::fixture::{self, World};
use harness::value::{column_values, join};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tonic::metadata::MetadataMap;

use crate::KEPT;
use server::servers_differ;
use standing::{Asked, logs_differ};

/// The fixture's tables, as attacks write them, and their names. In what is expected they are the rows that are shown.
const TABLES: [(&str, &str); 3] = [
    ("PATIENT", "health.registry.patient"),
    ("TAXPAYER", "revenue.registry.taxpayer"),
    ("WATCH", "police.registry.watch"),
];

/// What `u1` is shown, but for pseudonyms: there the identifier itself stands, which is as distinct.
const SHOWN_TO_U1: [(&str, &str); 3] = [
    (
        "patient",
        "SELECT pid, substr(name, 1, 1) AS name, dob, ward, region, diag, CAST(NULL AS BIGINT) AS cost, note \
         FROM health.registry.patient WHERE region IN ('north', 'east')",
    ),
    ("taxpayer", "SELECT * FROM revenue.registry.taxpayer WHERE region IN ('north', 'east')"),
    ("watch", "SELECT * FROM police.registry.watch"),
];

/// Rows come in one order, in small frames; and no empty frame is sent to whoever waits.
const LIMITS: &str =
    "target_partitions = 1\nfirst_batch_rows = 64\nbatch_rows = 512\nempty_batch_interval_ms = 3600000\n";

/// Users that the fixture has not: `u4` must not see regions, the others have hostile attributes.
const MORE_POLICY: &str = "\
GRANT SELECT ON TABLE registry.patient TO ROLE more FOR PURPOSE care WITH (id = 'health-more');
CREATE POLICY regions_of_more ON TABLE registry.patient ROW FILTER (region IN attribute('regions')) TO ROLE more;
CREATE POLICY no_region ON TABLE registry.patient COLUMN MASK hide COLUMNS (region) TO ROLE more;
";

/// Attributes that would be more than data if they were pasted into a statement or a pattern.
const HOSTILE: [(&str, &str); 6] = [
    ("quote", "x' OR 1=1 --"),
    ("percent", "%"),
    ("underscore", "_____"),
    ("zero", "nor\0th"),
    ("list", "north', 'east"),
    ("column", "region"),
];

/// What an attack must meet.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The same in both worlds, whatever it is.
    Alike,
    /// What the statement answers over the rows that are shown. When it fails there, it fails here, in any words of ours.
    Shown,
    /// What this other statement answers over the rows that are shown.
    As(&'static str),
    /// No row.
    Nothing,
    /// No row, or this code.
    NothingOr(&'static str),
    /// This code.
    Refused(&'static str),
}

/// Number, user, what it must meet, statement.
type Row = (&'static str, &'static str, Expected, &'static str);

/// One world: its data, its processes.
struct Running {
    data: Dataset,
    cluster: Cluster,
    sweep: Sweep,
    /// Every statement that was captured.
    asked: std::sync::Mutex<Vec<Asked>>,
    _root: TempDir,
}

/// Both worlds, for all tests that run at one time; the last one ends their processes.
static SHARED: Mutex<Weak<[Running; 2]>> = Mutex::const_new(Weak::new());

async fn worlds() -> Arc<[Running; 2]> {
    let mut shared = SHARED.lock().await;
    if let Some(worlds) = shared.upgrade() {
        return worlds;
    }
    let worlds = Arc::new([Running::start(World::F0).await, Running::start(World::Twin).await]);
    *shared = Arc::downgrade(&worlds);
    worlds
}

impl Running {
    async fn start(world: World) -> Self {
        let root = TempDir::with_prefix("chancery-attacks-").unwrap();
        let data = fixture::write(root.path(), world).unwrap();
        let policies = data.sites().into_iter().map(|site| {
            let more = if site == "health" { MORE_POLICY } else { "" };
            let text = format!("{}{more}", fixture::policies(&site));
            (site, text)
        });
        let governance = Governance { users: users(), policies: policies.collect(), ..Governance::default() };
        let options = Options {
            governance: Some(governance),
            site_limits: LIMITS.to_string(),
            coordinator_limits: LIMITS.to_string(),
            logs_everything: true,
            kept: KEPT,
            ..Options::default()
        };
        let cluster = Cluster::start_with(&data, options).await;
        let running =
            Self { data, cluster, sweep: Sweep::new(&canaries(world)), asked: Default::default(), _root: root };
        running.hide_an_endless_day(world).await;
        running
    }

    /// The address of a door, and the authority of its certificate when it has one.
    fn door(&self, door: &str) -> (String, Option<PathBuf>) {
        match door {
            COORDINATOR => (self.cluster.address().to_string(), None),
            site => (self.cluster.site(site).address().to_string(), Some(self.cluster.authority())),
        }
    }
}

fn users() -> Vec<Person> {
    let reader = |name: &str| Person::new(name, "reader").holding("care").with("regions", &fixture::REGIONS);
    let fixed = [reader("u1"), reader("u2").holding("audit"), Person::new("u3", "reader").holding("care")];
    let more = [reader("u4").and("more")];
    let hostile = HOSTILE.map(|(name, value)| Person::new(name, "more").holding("care").with("regions", &[value]));
    fixed.into_iter().chain(more).chain(hostile).chain([Person::administrator()]).collect()
}

const COORDINATOR: &str = "coordinator";

/// A user at a door, as a common client and as one that keeps every byte.
#[derive(Clone)]
struct Session {
    client: Client,
    raw: RawClient,
}

/// A run of attacks, and what went wrong so far.
struct Attacks {
    worlds: Arc<[Running; 2]>,
    sessions: BTreeMap<(usize, String, String), Session>,
    shown: BTreeMap<String, SessionContext>,
    failures: Vec<String>,
}

impl Attacks {
    async fn begin() -> Self {
        Self { worlds: worlds().await, sessions: BTreeMap::new(), shown: BTreeMap::new(), failures: vec![] }
    }

    /// Over F0 and that world, which nobody else asks.
    async fn alone(other: World) -> Self {
        let worlds = Arc::new([Running::start(World::F0).await, Running::start(other).await]);
        Self { worlds, sessions: BTreeMap::new(), shown: BTreeMap::new(), failures: vec![] }
    }

    /// Fails with all that went wrong. The last of those who share the worlds looks at what their nodes have kept.
    fn end(mut self) {
        self.sessions.clear();
        if let Some(worlds) = Arc::into_inner(self.worlds) {
            for world in &worlds {
                self.failures.extend(world.faults());
            }
            self.failures.extend(logs_differ(&worlds));
            self.failures.extend(servers_differ(&worlds));
        }
        let count = self.failures.len();
        assert!(count == 0, "{count} attacks had success:\n\n{}", self.failures.join("\n\n"));
    }

    async fn run(&mut self, rows: &[Row]) {
        for (number, user, expected, sql) in rows {
            self.attack(number, user, *expected, sql).await;
        }
    }

    /// One statement at each door it can be asked at.
    async fn attack(&mut self, number: &str, user: &str, expected: Expected, sql: &str) {
        for door in doors(sql) {
            let what = format!("{number} {user} at {door}: {sql}");
            let capture = self.alike(&what, user, door, &named(sql)).await;
            self.meet(&what, [user, door, sql], expected, &capture).await;
        }
    }

    /// What left in F0, the same bytes as in the twin, without canaries.
    async fn alike(&mut self, what: &str, user: &str, door: &str, sql: &str) -> Capture {
        let [mut f0, mut twin] = [Capture::default(), Capture::default()];
        for (world, capture) in [(0, &mut f0), (1, &mut twin)] {
            *capture = self.session(world, user, door).await.raw.capture(sql).await;
            self.worlds[world].asked.lock().unwrap().push(Asked::new(user, door, sql, capture));
            self.sweep(world, what, sql, capture);
        }
        self.same_bytes(what, &f0, &twin);
        f0
    }

    /// The same for a command that asks for metadata. Asked in one world only, it would be in the logs of that one only.
    async fn told_alike(&mut self, what: &str, user: &str, door: &str, command: &Any) -> Capture {
        let f0 = self.session(0, user, door).await.raw.capture_command(command.clone()).await;
        let twin = self.session(1, user, door).await.raw.capture_command(command.clone()).await;
        self.same_bytes(what, &f0, &twin);
        f0
    }

    fn same_bytes(&mut self, what: &str, f0: &Capture, twin: &Capture) {
        if let Some(difference) = f0.difference(twin) {
            self.failures.push(format!("{what}\n  N1: {}", beginning(&difference)));
        }
    }

    /// The answer in F0 to a statement that is asked in the twin too, so that both worlds' logs have the same lines.
    async fn query(&mut self, user: &str, door: &str, sql: &str) -> Result<Answer, String> {
        let told = self.session(0, user, door).await.client.query(sql).await;
        let twin = self.session(1, user, door).await.client.query(sql).await;
        let same = told.as_ref().map(rows) == twin.as_ref().map(rows);
        self.check(same, format!("{user} at {door}: {sql}\n  N1: the worlds' answers differ"));
        told
    }

    fn sweep(&mut self, world: usize, what: &str, sql: &str, capture: &Capture) {
        let found = self.worlds[world].sweep.over_answer(&capture.bytes(), sql.as_bytes());
        if let Some(found) = found.first() {
            self.failures.push(format!("{what}\n  CANARY in world {world}: {found}"));
        }
    }

    async fn meet(&mut self, what: &str, [user, door, sql]: [&str; 3], expected: Expected, capture: &Capture) {
        let error = capture.error();
        let told = match expected {
            Expected::Alike => return self.closed(what, error),
            Expected::Refused(code) => return self.refused(what, code, error),
            Expected::NothingOr(code) if error.is_some() => return self.refused(what, code, error),
            Expected::Nothing | Expected::NothingOr(_) => Ok(vec![]),
            Expected::Shown => self.shown(user, sql).await,
            Expected::As(other) => self.shown(user, other).await,
        };
        match (told, error) {
            (Err(_), error @ Some(_)) => self.closed(what, error),
            (Err(engine), None) => self.failures.push(format!("{what}\n  an answer, but expected is {engine}")),
            (Ok(_), Some(error)) => self.failures.push(format!("{what}\n  {error}")),
            (Ok(rows), None) => self.same_rows(what, [user, door, sql], rows).await,
        }
    }

    async fn same_rows(&mut self, what: &str, [user, door, sql]: [&str; 3], mut expected: Vec<String>) {
        let answer = self.session(0, user, door).await.client.query(&named(sql)).await;
        let mut rows = match answer {
            Ok(answer) => rows(&answer),
            Err(error) => return self.failures.push(format!("{what}\n  {error}")),
        };
        let is_ordered = sql.rsplit(')').next().is_some_and(|end| end.contains("ORDER BY"));
        if !is_ordered {
            rows.sort();
            expected.sort();
        }
        if rows != expected {
            let [rows, expected] =
                [rows, expected].map(|rows| format!("{} rows {}", rows.len(), beginning(&rows.join(" | "))));
            self.failures.push(format!("{what}\n  answered {rows}\n  expected {expected}"));
        }
    }

    /// An answer, or an error with a code of ours that is not our own fault.
    fn closed(&mut self, what: &str, error: Option<String>) {
        let Some(error) = error else { return };
        let code = error.split(':').next().unwrap_or_default();
        let known =
            ["SYNTAX", "TYPE", "UNSUPPORTED", "STATEMENT", "FUNCTION", "NOT_FOUND", "AGGREGATE", "EVAL", "DISCLOSURE"];
        if !known.contains(&code) {
            self.failures.push(format!("{what}\n  {error}"));
        }
    }

    fn refused(&mut self, what: &str, code: &str, error: Option<String>) {
        let told = error.unwrap_or_else(|| "an answer".to_string());
        if !told.starts_with(&format!("{code}: ")) {
            self.failures.push(format!("{what}\n  expected {code}, but {}", beginning(&told)));
        }
    }

    fn check(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.failures.push(what.into());
        }
    }

    async fn session(&mut self, world: usize, user: &str, door: &str) -> Session {
        let key = (world, user.to_string(), door.to_string());
        if let Some(session) = self.sessions.get(&key) {
            return session.clone();
        }
        let (address, authority) = self.worlds[world].door(door);
        let client = Client::connect_as(&address, authority.as_deref(), user).await;
        let mut headers = MetadataMap::new();
        let token = format!("Bearer {}", client.flight().token().unwrap());
        headers.insert("authorization", token.parse().unwrap());
        let raw = RawClient::new(channel(&address, authority.as_deref()).await, headers);
        let session = Session { client, raw };
        self.sessions.insert(key, session.clone());
        session
    }

    /// The answer over what this user is shown, which is laid down first: an engine that saw more could fail on it.
    async fn shown(&mut self, user: &str, sql: &str) -> Result<Vec<String>, String> {
        if !self.shown.contains_key(user) {
            let ctx = shown_to(&self.worlds[0].data, user).await;
            self.shown.insert(user.to_string(), ctx);
        }
        let mut sql = sql.to_string();
        for (written, full) in TABLES {
            let name = full.rsplit('.').next().unwrap();
            sql = sql.replace(written, &format!("datafusion.public.{name}"));
        }
        let answer = local_answer(&self.shown[user], &sql).await.map_err(|error| error.to_string())?;
        Ok(rows(&answer))
    }
}

/// The site whose tables alone a statement names, if there is one, and the coordinator.
fn doors(sql: &str) -> Vec<&'static str> {
    let named = TABLES.iter().filter(|(written, full)| sql.contains(written) || sql.to_lowercase().contains(full));
    let sites: Vec<&str> = named.map(|(_, full)| full.split('.').next().unwrap()).collect();
    match sites.as_slice() {
        [site] => vec![*site, COORDINATOR],
        [] => vec!["health", COORDINATOR],
        _ => vec![COORDINATOR],
    }
}

fn named(sql: &str) -> String {
    TABLES.iter().fold(sql.to_string(), |sql, (written, full)| sql.replace(written, full))
}

async fn shown_to(data: &Dataset, user: &str) -> SessionContext {
    let raw = local_context(data).await.unwrap();
    let ctx = SessionContext::new();
    for (table, view) in SHOWN_TO_U1 {
        let view = if user == "u2" { view.replace("CAST(NULL AS BIGINT) AS cost", "cost") } else { view.to_string() };
        let answer = local_answer(&raw, &view).await.unwrap();
        let batch = arrow::compute::concat_batches(&answer.schema, &answer.batches).unwrap();
        ctx.register_batch(table, batch).unwrap();
    }
    ctx
}

fn rows(answer: &Answer) -> Vec<String> {
    let mut rows = vec![];
    for batch in &answer.batches {
        let columns: Vec<_> = batch.columns().iter().map(column_values).collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let row: Vec<_> = columns.iter().map(|column| column[row].clone()).collect();
            join(&row)
        }));
    }
    rows
}

/// As much of a text as a reader of a failure wants.
fn beginning(text: &str) -> String {
    text.chars().take(700).collect()
}

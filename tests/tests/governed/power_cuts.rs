//! A110: the power is cut at each step between a statement and the record of its end. Every frame that left has a durable
//! intent, and the next start says what was interrupted.
//!
//! ```text
//! intent queued ─ written ─ synced ─ rows are made ─ head ─ frames ─ last frame ─ completion queued ─ written ─ synced
//!              UNWRITTEN  WRITTEN  SYNCED           FRAMES      LAST                        UNWRITTEN  WRITTEN  SYNCED
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use arrow_flight::Ticket;
use harness::cluster::{Client, Cluster, Options, Step, Written};
use harness::policy::record::{of_kind, records};
use harness::tpch::tpch;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tonic::Request;

use super::evidence::{audit, segment, told};
use super::federation::{LARGE, LOGISTICS, governed, of_streams, table};

/// An answer of some frames.
const SHORT: &str = "SELECT l_orderkey, l_comment FROM logistics.tpch.lineitem LIMIT 50000";
/// What a reader counts when it has everything.
const ALL: usize = usize::MAX;

/// When the power is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// At that step of the intent.
    Intent(Step),
    /// When a reader has this many frames; 0 is the head of the answer.
    Frames(usize),
    /// At that step of the completion, when a reader has the last frame of its answer.
    Completion(Step),
    /// After so many milliseconds.
    After(u64),
}

/// How much is lost of what was written and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    Half,
    All,
}

/// Begins a stream at the site and reads it until it breaks; the query, if anything of it arrived.
async fn read_until_cut(client: Client, sql: &str, arrived: watch::Sender<Option<usize>>) -> Option<String> {
    let ticket = client.info(sql).await.ok()?.endpoint[0].ticket.clone()?;
    let mut request = Request::new(Ticket { ticket: ticket.ticket });
    let token = format!("Bearer {}", client.flight().token().unwrap());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    let answer = client.flight().inner_mut().do_get(request).await.ok()?;
    let query = answer.metadata().get("x-chancery-query-id").expect("an identity").to_str().unwrap().to_string();
    let mut stream = answer.into_inner();
    let mut frames = 0;
    arrived.send_replace(Some(frames));
    while let Ok(message) = stream.message().await {
        if message.is_none() {
            arrived.send_replace(Some(ALL));
            break;
        }
        frames += 1;
        arrived.send_replace(Some(frames));
    }
    (frames > 0).then_some(query)
}

impl Cut {
    /// The step of the disk that it waits for, and of which record.
    fn step(self) -> Option<(Step, &'static str)> {
        match self {
            Cut::Intent(step) => Some((step, "\"kind\":\"intent\"")),
            Cut::Completion(step) => Some((step, "\"kind\":\"completion\"")),
            Cut::Frames(_) | Cut::After(_) => None,
        }
    }

    async fn wait(self, cluster: &Cluster, mut arrived: watch::Receiver<Option<usize>>) {
        let least = match self {
            Cut::Intent(_) => return cluster.machine("logistics").disk_stopped().await,
            Cut::After(time_ms) => return tokio::time::sleep(Duration::from_millis(time_ms)).await,
            Cut::Frames(least) => least,
            Cut::Completion(_) => {
                cluster.machine("logistics").disk_stopped().await;
                ALL
            }
        };
        let come = arrived.wait_for(|seen| seen.is_some_and(|frames| frames >= least));
        let come = tokio::time::timeout(Duration::from_secs(60), come).await;
        assert!(come.is_ok_and(|come| come.is_ok()), "{self:?} is not reached");
    }

    /// Whether frames must have left, or cannot have; none where that is left to chance.
    fn has_left(self) -> Option<bool> {
        match self {
            Cut::Intent(_) => Some(false),
            Cut::Frames(0) | Cut::After(_) => None,
            Cut::Frames(_) | Cut::Completion(_) => Some(true),
        }
    }

    /// The intents and completions that the next start finds.
    fn found(self, lost: Lost) -> (usize, usize) {
        let survives = |step| step != Step::Unwritten && (step == Step::Synced || lost == Lost::Nothing);
        match self {
            Cut::Intent(step) => (usize::from(survives(step)), 0),
            Cut::Completion(step) => (1, usize::from(survives(step))),
            Cut::Frames(_) | Cut::After(_) => (1, 0),
        }
    }
}

/// How many intents and completions of Ana there are.
fn recorded(state: &Path) -> (usize, usize) {
    let records = records(state);
    let intents = of_kind(&records, "intent").into_iter().filter(|intent| intent["asker"]["subject"] == "ana");
    let intents: Vec<_> = intents.map(|intent| &intent["seq"]).collect();
    let completions = of_kind(&records, "completion");
    let completed = completions.iter().filter(|completion| intents.contains(&&completion["intent_seq"])).count();
    (intents.len(), completed)
}

/// What a power cut leaves of a file of which this much was synced.
fn lose(file: &Path, synced: usize, lost: Lost) {
    let whole = fs::read(file).unwrap();
    let kept = match lost {
        Lost::Nothing => return,
        Lost::Half => synced + (whole.len() - synced) / 2,
        Lost::All => synced,
    };
    assert!(whole.len() > kept, "nothing was written");
    fs::write(file, &whole[..kept]).unwrap();
}

async fn streams_on_a_machine() -> Cluster {
    let governance = governed(&[("logistics", LOGISTICS)], Written::AtTheDoor);
    Cluster::start_with(&tpch(0.1).unwrap(), Options { machines: true, ..of_streams(governance) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a110_every_frame_that_left_has_a_durable_intent() {
    let mut cluster = streams_on_a_machine().await;
    let (state, machine) = (cluster.state_of("logistics"), "logistics");
    let mut steps = vec![];
    for cut in [Cut::Intent, Cut::Completion] {
        steps.extend([Step::Unwritten, Step::Synced].map(|step| (cut(step), Lost::Nothing)));
        steps.extend([Lost::Nothing, Lost::Half, Lost::All].map(|lost| (cut(Step::Written), lost)));
    }
    steps.extend([0, 1, 2, 9].map(|frames| (Cut::Frames(frames), Lost::Nothing)));
    let mut random = StdRng::seed_from_u64(110);
    steps.extend((0..3).map(|_| (Cut::After(random.random_range(0..400)), Lost::Nothing)));
    for (cut, lost) in steps {
        let what = format!("{cut:?}, lost {lost:?}");
        let client = cluster.user_of_site("ana", machine).await;
        let (before, synced) = (recorded(&state), fs::metadata(segment(&state)).unwrap().len());
        if let Some((step, text)) = cut.step() {
            cluster.machine(machine).stop_disk(step, text);
        }
        let (arrived, progress) = watch::channel(None);
        let sql = if matches!(cut, Cut::Completion(_)) { SHORT } else { LARGE };
        let reader = tokio::spawn(read_until_cut(client, sql, arrived));
        cut.wait(&cluster, progress).await;
        let unsynced = fs::metadata(segment(&state)).unwrap().len();
        cluster.kill_site(machine);
        let answered = reader.await.unwrap();
        assert!(cut.has_left().is_none_or(|left| left == answered.is_some()), "{what}: {answered:?} has left");
        if lost != Lost::Nothing {
            let synced = if matches!(cut, Cut::Intent(_)) { synced } else { synced_before(&state, unsynced) };
            lose(&segment(&state), usize::try_from(synced).unwrap(), lost);
        }
        let intents = records(&state);
        let is_recorded =
            |query: &String| of_kind(&intents, "intent").iter().any(|intent| intent["query"] == query.as_str());
        assert!(answered.as_ref().is_none_or(is_recorded), "{what}: frames left without an intent");

        cluster.machine(machine).start_disk();
        cluster.restart_site(machine);
        let verified = audit(&["verify"], &state);
        assert!(verified.status.success(), "{what}: {}", told(&verified));
        let after = recorded(&state);
        let found = (after.0 - before.0, after.1 - before.1);
        if !matches!(cut, Cut::After(_)) {
            assert_eq!(found, cut.found(lost), "{what}: intents and completions");
        }
        let start = records(&state).into_iter().rfind(|record| record["kind"] == "start").unwrap();
        assert_eq!(start["repaired"].as_u64() > Some(0), lost == Lost::Half, "{what}: {start}");
        assert_told(&cluster, answered, found, &what).await;
    }
}

/// Where the last record begins: what was written of it was not synced.
fn synced_before(state: &Path, length: u64) -> u64 {
    let written = fs::read(segment(state)).unwrap();
    let whole = &written[..usize::try_from(length).unwrap() - 1];
    whole.iter().rposition(|byte| *byte == b'\n').unwrap() as u64 + 1
}

/// A statement that was let in and not completed is told as interrupted; one of which the record is lost is not told at all.
async fn assert_told(cluster: &Cluster, answered: Option<String>, (intents, completions): (usize, usize), what: &str) {
    let auditor = cluster.user_of_site("auditor", "logistics").await;
    let last =
        "SELECT query_id, outcome FROM system.audit.queries WHERE subject = 'ana' ORDER BY started_at DESC LIMIT 1";
    let told = table(&auditor, last, &["query_id", "outcome"]).await.concat();
    if intents == 1 {
        assert_eq!(told[1], if completions == 1 { "finished" } else { "interrupted" }, "{what}");
        assert!(answered.is_none_or(|query| query == told[0]), "{what}: {told:?}");
    }
}

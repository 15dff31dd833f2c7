//! What holds of every attack at its end, whatever it was: the standing assertions of the policy paper's fixture F0.
//!
//! The bytes of each answer are compared and swept when they come. Here is what the nodes have kept: their logs, alike in both
//! worlds; no canary on any disk but that of the data; records in pairs; processes alive, of bounded memory. What a server that
//! holds the data was asked is in [`super::server`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use engine::session::setting::Setting;
use harness::cluster::Cluster;
use harness::policy::canary::Sweep;
use harness::policy::capture::Capture;
use harness::policy::{log, record};

use super::{Running, beginning};

/// More than any attack takes of a node, and less than any of the bombs would.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// A completion is recorded after the answer's last byte has left.
const COMPLETED_WITHIN: Duration = Duration::from_secs(10);

/// A statement that was asked in one world, and how its answer ended.
#[derive(Debug)]
#[expect(dead_code, reason = "a fault tells all of it")]
pub(super) struct Asked {
    user: String,
    door: String,
    sql: String,
    query: Option<String>,
    began: bool,
    error: Option<String>,
}

impl Asked {
    pub(super) fn new(user: &str, door: &str, sql: &str, capture: &Capture) -> Self {
        Self {
            user: user.to_string(),
            door: door.to_string(),
            sql: sql.to_string(),
            query: capture.query.clone(),
            began: capture.frames() > 0,
            error: capture.error(),
        }
    }

    /// The code, when it was refused before a byte of its answer had left.
    fn refused(&self) -> Option<&str> {
        let error = self.error.as_deref().filter(|_| !self.began)?;
        error.split(':').next()
    }

    /// Whether rows of a source were asked for, and came.
    pub(super) fn has_rows(&self) -> bool {
        let begins = ["SELECT ", "WITH "].iter().any(|word| self.sql.to_uppercase().starts_with(word));
        begins && self.sql.to_lowercase().contains(".registry.") && self.error.is_none()
    }

    /// Whether it is said to the site: a session keeps its purpose by itself.
    fn is_for_the_site(&self) -> bool {
        Setting::read(&self.sql).is_none()
    }
}

impl Running {
    /// Everything that does not hold in this world.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.unsound_nodes();
        faults.extend(self.canaries_kept());
        faults.extend(self.asked_of_server());
        let asked = self.asked.lock().unwrap();
        for site in self.data.sites() {
            faults.extend(self.unrecorded(&site, &asked).into_iter().map(|fault| format!("{site}: {fault}")));
        }
        faults
    }

    /// The lines of a site's log about what was captured, and those that are about no query.
    fn log_of(&self, site: &str) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap();
        let queries = asked.iter().filter_map(|asked| asked.query.as_deref()).collect();
        log::lines(&self.cluster.site(site).log(), &queries, &[self.cluster.root(), &self.data.root])
    }

    /// (iii)
    fn unsound_nodes(&self) -> Vec<String> {
        let unsound = self.cluster.nodes().filter_map(|(node, process)| match process.memory_peak_bytes() {
            None => Some(format!("{node} runs no more: {}", beginning(&process.log()))),
            Some(bytes) if bytes > MEMORY_BYTES_MAX => Some(format!("{node} had {bytes} bytes of memory")),
            Some(_) => None,
        });
        unsound.collect()
    }

    /// (ii) on the disks of the nodes. Here a canary is one whoever wrote it: what is kept of a statement has no literals.
    fn canaries_kept(&self) -> Vec<String> {
        kept(&self.cluster, &self.sweep).into_iter().map(|kept| format!("CANARY on a disk, {kept}")).collect()
    }

    /// (iv)
    fn unrecorded(&self, site: &str, asked: &[Asked]) -> Vec<String> {
        let state = self.cluster.state_of(site);
        let began = Instant::now();
        let mut records = record::records(&state);
        while !record::unpaired(&records).is_empty() && began.elapsed() < COMPLETED_WITHIN {
            std::thread::sleep(Duration::from_millis(50));
            records = record::records(&state);
        }
        let (intents, refusals) = (record::intents_by_query(&records), record::refusals_by_query(&records));
        let mut faults = record::unpaired(&records);
        for one in asked.iter().filter(|asked| asked.door == site && asked.is_for_the_site()) {
            let query = one.query.as_deref().unwrap_or_default();
            let let_in = intents.get(query).copied().unwrap_or_default();
            let refused = refusals.get(query).cloned().unwrap_or_default();
            let holds = match one.refused() {
                None => let_in == 1,
                // What fails between its intent and its first byte was let in, and is completed.
                Some(code) => (let_in == 1 && refused.is_empty()) || (let_in == 0 && refused == [code]),
            };
            if !holds {
                faults.push(format!("{let_in} intents and the refusals {refused:?} of {one:?}"));
            }
        }
        faults
    }
}

/// Where on a disk of the cluster's nodes one of these is.
pub(super) fn kept(cluster: &Cluster, sweep: &Sweep) -> Vec<String> {
    let files = cluster.nodes().flat_map(|(node, _)| cluster.written_by(node));
    let found = files.filter_map(|(file, bytes)| Some((file, sweep.over_kept(&bytes).into_iter().next()?)));
    found.map(|(file, found)| format!("in {}: {found}", file.display())).collect()
}

/// (i) of the logs: a line that one world's site has and the other's has not.
pub(super) fn logs_differ(worlds: &[Running; 2]) -> Vec<String> {
    let mut differences = vec![];
    for site in worlds[0].data.sites() {
        let [f0, twin] = [worlds[0].log_of(&site), worlds[1].log_of(&site)];
        let differing: Vec<&String> = f0.symmetric_difference(&twin).collect();
        if let Some(first) = differing.first() {
            differences.push(format!("N1: {} lines of {site}'s log are in one world only: {first}", differing.len()));
        }
    }
    differences
}

//! Nothing that a client or a site sends ends or freezes a node; by the numbers that the policy paper gives the attacks.
//!
//! ```text
//! statements  texts without end, functions without bound, whatever writes: refused, at both doors (A73–A75, A96, A99–A101)
//! joins       pairs without end: others have their turn, cancelling ends them, too many are refused (A98)
//! uncounted   what expressions, joins and windows take beside the memory that DataFusion counts (A99)
//! turns       a subject's share of a node, the queue before it, and readers that are slow or stop (A101)
//! sites       a site that sends what it must not (A103, A104)
//! forged      headers of messages that no writer makes
//! generated   hostile statements of every kind by the thousand, with the node's health told all the time (N6)
//! ```

mod forged;
mod generated;
mod joins;
mod sites;
mod statements;
mod turns;
mod uncounted;

use std::time::Duration;

use harness::cluster::Cluster;
use harness::environment::number;
use harness::watch::Watch;

/// How long a node may take to tell its health, 99 times of 100, unless the environment says less. The goal is 100 ms; a build
/// without optimizations on a machine that does much else is given more.
const HEALTH_P99_MS: u64 = 5_000;

/// The coordinator and a site, watched while something is done to them.
struct Watched {
    watches: [Watch; 2],
}

impl Watched {
    fn begin(cluster: &Cluster, site: &str) -> Self {
        let authority = cluster.authority();
        let of_site = Watch::of(cluster.site(site).address(), Some(&authority));
        Self { watches: [Watch::of(cluster.address(), None), of_site] }
    }

    /// The nodes have told their health all the time.
    fn end(self, what: &str) {
        let most_p99 = Duration::from_millis(number("CHANCERY_HEALTH_P99_MS", HEALTH_P99_MS));
        for (node, watch) in ["coordinator", "site"].iter().zip(self.watches) {
            let (p99, most) = watch.end();
            println!("{what}: health of the {node}: p99 {} ms, at most {} ms", p99.as_millis(), most.as_millis());
            assert!(p99 < most_p99, "{what}: the {node} took {p99:?} to tell its health");
        }
    }
}

/// No node of the cluster has panicked, and all are alive.
fn assert_whole(cluster: &Cluster, sites: &[&str]) {
    for process in sites.iter().map(|site| cluster.site(site)).chain([cluster.coordinator()]) {
        assert!(process.memory_peak_bytes().is_some(), "a node is gone: {}", process.log());
        let log = process.log();
        let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert!(panics.is_empty(), "a node panicked: {panics:?}");
    }
}

/// No node had more memory at one time than its process may have, and a tenth: what is taken between two looks.
fn assert_within_memory(cluster: &Cluster, sites: &[&str], process_memory_bytes: u64) {
    for process in sites.iter().map(|site| cluster.site(site)).chain([cluster.coordinator()]) {
        let peak = process.memory_peak_bytes().unwrap();
        println!("{} MiB at one time", peak >> 20);
        assert!(peak <= process_memory_bytes + process_memory_bytes / 10, "{} MiB at one time", peak >> 20);
    }
}

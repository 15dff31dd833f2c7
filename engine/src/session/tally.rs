//! What a node counts of its statements, for its operator: numbers under names that stand in its configuration or in the
//! table of codes, never under what somebody wrote. Rows and bytes are counted when their statement ends.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::queries::{Progress, QueryRecord};
use crate::error::Code;
use crate::identity::Came;

/// The counters of one node.
#[derive(Debug)]
pub struct Tally {
    statements: Family<Outcome, Counter>,
    seconds: Histogram,
    refused: Family<Refused, Counter>,
    answered: Moved<To>,
    fragments: Family<OfSite, Counter>,
    received: Moved<Site>,
    sent_bytes: Family<Site, Counter>,
}

/// Rows and bytes that crossed a border.
#[derive(Debug)]
struct Moved<L> {
    rows: Family<L, Counter>,
    bytes: Family<L, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

/// A coordinator by its name, or `users`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct To {
    to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Site {
    site: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSite {
    site: String,
    outcome: &'static str,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            statements: Family::default(),
            // From five milliseconds to somewhat more than the ten minutes that a statement has by default.
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 18)),
            refused: Family::default(),
            answered: Moved { rows: Family::default(), bytes: Family::default() },
            fragments: Family::default(),
            received: Moved { rows: Family::default(), bytes: Family::default() },
            sent_bytes: Family::default(),
        }
    }
}

impl Tally {
    /// Counts a statement that has ended, and what crossed the borders for it.
    pub(super) fn ended(&self, record: &QueryRecord) {
        use std::sync::atomic::Ordering::Relaxed;
        self.statements.get_or_create(&Outcome { outcome: outcome(&record.progress()) }).inc();
        self.seconds.observe(record.elapsed().as_secs_f64());
        let to = match &record.asker.came {
            Came::Through(coordinator) => To { to: coordinator.clone() },
            Came::Directly | Came::AsPeer => To { to: "users".to_string() },
        };
        self.answered.rows.get_or_create(&to).inc_by(record.rows());
        self.answered.bytes.get_or_create(&to).inc_by(record.bytes());
        for entry in record.ledger() {
            let site = Site { site: entry.site.to_string() };
            let of_site = OfSite { site: site.site.clone(), outcome: outcome(&entry.progress()) };
            self.fragments.get_or_create(&of_site).inc();
            self.received.rows.get_or_create(&site).inc_by(entry.rows());
            self.received.bytes.get_or_create(&site).inc_by(entry.bytes_received.load(Relaxed));
            self.sent_bytes.get_or_create(&site).inc_by(entry.bytes_sent.load(Relaxed));
        }
    }

    /// Counts a caller who was not believed, or a statement that was refused before it began.
    pub fn refused(&self, code: Code) {
        self.refused.get_or_create(&Refused { code: code.name() }).inc();
    }

    /// Lets a registry tell them.
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            (
                "answer_rows",
                "Rows handed to users and coordinators, by statements that have ended",
                &self.answered.rows,
            ),
            ("answer_bytes", "Message bytes handed over likewise", &self.answered.bytes),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let counters = [
            ("site_received_rows", "Rows received from a site, for statements that have ended", &self.received.rows),
            ("site_received_bytes", "Message bytes received from a site likewise", &self.received.bytes),
            ("site_sent_bytes", "Message bytes sent to a site likewise, key sets included", &self.sent_bytes),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("site_fragments", "Statements sent to a site, by how they ended", self.fragments.clone());
        registry.register("statements", "Statements that have begun and ended, by how", self.statements.clone());
        registry.register(
            "refused",
            "Callers not believed and statements refused before they began, by code",
            self.refused.clone(),
        );
        registry.register_with_unit(
            "statement_duration",
            "Time from a statement's turn to its end",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }
}

fn outcome(progress: &Progress) -> &'static str {
    match progress {
        Progress::Running => "running",
        Progress::Finished => "finished",
        Progress::Failed(code) => code.name(),
        Progress::Cancelled => "cancelled",
    }
}

//! How a node leaves: it says so, takes nothing new, lets end what runs, and is done when the record of it is.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::FLIGHT_SERVICE;
use crate::flight::door::Door;
use crate::session::queries::Stop;
use crate::session::turns::Turns;

/// What is wished of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// That it serves.
    Serve,
    /// That it takes nothing new, lets end what runs, for as long as may be, and ends.
    Drain,
    /// That it ends.
    End,
}

/// How long those whose statements were cancelled have to read why, and connections to close.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The same for a node that is to end at once.
const LAST_WORD: Duration = Duration::from_millis(250);

/// What a node tells and waits for while it leaves.
pub(super) struct Leaving {
    pub(super) name: String,
    pub(super) door: Arc<dyn Door>,
    pub(super) turns: Arc<Turns>,
    pub(super) health: HealthReporter,
    pub(super) drain: Duration,
}

impl Leaving {
    /// Takes nothing new and ends when nothing runs: by itself within its time, or cancelled. Says how much time is left for
    /// what is on its way to clients.
    pub(super) async fn drain(&self, wish: &mut watch::Receiver<Wish>) -> Duration {
        let began = Instant::now();
        for service in ["", FLIGHT_SERVICE] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.turns.close();
        tracing::info!(
            node = self.name,
            running = self.door.queries().running().len(),
            "stopping: nothing new is taken"
        );
        if !within(self.drain, wish, self.turns.all_over()).await {
            let running = self.door.queries().running().len();
            tracing::warn!(node = self.name, running, "stopping: what still runs is cancelled");
            self.door.queries().stop_all(Stop::Leaving);
            self.last_words(LAST_WORDS, wish, self.turns.all_over()).await;
        }
        // Whoever does not read is not waited for: the end is on record, and no message follows it.
        self.door.queries().stop_lapsed();
        for service in ["", FLIGHT_SERVICE] {
            // Who watches its health would keep its connection.
            self.health.clone().clear_service_status(service).await;
        }
        self.drain.saturating_sub(began.elapsed()).max(LAST_WORDS)
    }

    /// Ends when `last` does, or when there is no more time for that: whether it did.
    pub(super) async fn last_words(
        &self,
        time: Duration,
        wish: &mut watch::Receiver<Wish>,
        last: impl Future<Output = ()>,
    ) -> bool {
        let mut last = std::pin::pin!(last);
        within(time, wish, last.as_mut()).await || tokio::time::timeout(LAST_WORD, last).await.is_ok()
    }

    /// Ends when the record is complete.
    pub(super) async fn settle(&self) {
        self.door.settle().await;
        tracing::info!(node = self.name, "stopped");
    }
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaving").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether `end` came in that time and before the node was to end at once.
async fn within(time: Duration, wish: &mut watch::Receiver<Wish>, end: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = end => true,
        () = tokio::time::sleep(time) => false,
        () = wished(wish, Wish::End) => false,
    }
}

/// Ends when that, or more, is wished.
async fn wished(wish: &mut watch::Receiver<Wish>, at_least: Wish) {
    if wish.wait_for(|wish| *wish >= at_least).await.is_err() {
        // Nobody wishes anything any more.
        std::future::pending::<()>().await;
    }
}

//! Somebody who asks a node for its health every so often, on a thread of their own, and keeps how long it took.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cluster::client::channel;

/// How often health is asked.
const EVERY: Duration = Duration::from_millis(100);

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Watch {
    /// Watches the node at `address`; over TLS when an authority is given.
    pub fn of(address: &str, authority: Option<&Path>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (Arc::clone(&stop), address.to_string());
        let authority = authority.map(Path::to_path_buf);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let mut health = HealthClient::new(channel(&address, authority.as_deref()).await);
                let mut latencies = Vec::new();
                while !stopped.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let request = HealthCheckRequest { service: String::new() };
                    let told = health.check(request).await.expect("the node tells its health").into_inner();
                    assert_eq!(told.status, ServingStatus::Serving as i32);
                    latencies.push(began.elapsed());
                    tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
                }
                latencies
            })
        });
        Self { stop, thread }
    }

    /// Ends the watch: how long the node took to tell its health, 99 times of 100, and at most.
    ///
    /// # Panics
    /// When the node did not always tell it.
    pub fn end(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = self.thread.join().expect("the node told its health all the time");
        latencies.sort();
        let most = latencies.last().copied().unwrap_or_default();
        (latencies.get(latencies.len() * 99 / 100).copied().unwrap_or(most), most)
    }
}

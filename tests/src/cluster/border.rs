//! What lies between a coordinator and a site: a relay that counts every byte and, told so, breaks the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What goes wrong at the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every connection is refused, and those that are open are cut.
    Down,
    /// Connections are cut once this many further bytes have come from the site.
    CutAfter(u64),
    /// Nothing more comes from the site after this many further bytes; connections stay open.
    StallAfter(u64),
    /// What comes from the site is passed on at one byte a second.
    Trickle,
}

/// Between two bytes of a trickle.
const BYTE_EVERY: Duration = Duration::from_secs(1);

/// A relay in front of a site.
#[derive(Debug)]
pub struct Border {
    address: String,
    shared: Arc<Shared>,
    fault: watch::Sender<Fault>,
    /// Counts how often all open connections were cut.
    cuts: watch::Sender<u64>,
    listener: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    to_site: AtomicU64,
    from_site: AtomicU64,
    /// Bytes from the site since the fault was set.
    since_fault: AtomicU64,
}

impl Border {
    /// Opens a relay to `site`.
    pub async fn open(site: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared::default());
        let (fault, faults) = watch::channel(Fault::None);
        let (cuts, cut) = watch::channel(0);
        let site = site.to_string();
        let relayed = Arc::clone(&shared);
        let listener = tokio::spawn(async move {
            while let Ok((coordinator, _)) = listener.accept().await {
                tokio::spawn(relay(coordinator, site.clone(), Arc::clone(&relayed), faults.clone(), cut.clone()));
            }
        });
        Self { address, shared, fault, cuts, listener }
    }

    /// Where the coordinator reaches the site.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sets what goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        self.shared.since_fault.store(0, Ordering::SeqCst);
        self.fault.send_replace(fault);
        if fault == Fault::Down {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }

    /// Bytes that went to the site so far.
    pub fn to_site(&self) -> u64 {
        self.shared.to_site.load(Ordering::SeqCst)
    }

    /// Bytes that came from the site so far.
    pub fn from_site(&self) -> u64 {
        self.shared.from_site.load(Ordering::SeqCst)
    }
}

impl Drop for Border {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn relay(
    coordinator: TcpStream,
    site: String,
    shared: Arc<Shared>,
    faults: watch::Receiver<Fault>,
    mut cut: watch::Receiver<u64>,
) {
    cut.mark_unchanged();
    if *faults.borrow() == Fault::Down {
        return;
    }
    let Ok(site) = TcpStream::connect(&site).await else { return };
    let (from_coordinator, to_coordinator) = coordinator.into_split();
    let (from_site, to_site) = site.into_split();
    tokio::select! {
        () = copy(from_coordinator, to_site, |bytes| { shared.to_site.fetch_add(bytes, Ordering::SeqCst); }) => {}
        () = copy_from_site(from_site, to_coordinator, &shared, faults) => {}
        // The sender lives as long as the border.
        _ = cut.changed() => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        count(read as u64);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn copy_from_site(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    faults: watch::Receiver<Fault>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let before = shared.since_fault.fetch_add(read as u64, Ordering::SeqCst);
        let fault = *faults.borrow();
        let allowed = match fault {
            Fault::None | Fault::Down => read,
            Fault::Trickle => {
                for byte in &buffer[..read] {
                    tokio::time::sleep(BYTE_EVERY).await;
                    shared.from_site.fetch_add(1, Ordering::SeqCst);
                    if to.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Fault::CutAfter(limit) | Fault::StallAfter(limit) => {
                read.min(usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX))
            }
        };
        shared.from_site.fetch_add(allowed as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return;
        }
        if allowed < read {
            if matches!(fault, Fault::StallAfter(_)) {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            return;
        }
    }
}

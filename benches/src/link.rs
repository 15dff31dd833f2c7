//! A long way: a network namespace joined to this one by two TUN devices, and between them a link with a delay, a rate and
//! a queue that drops what it cannot hold. Root only.
//!
//! ```text
//! here, 10.203.77.1 ── TUN ── queue, rate, delay ──► TUN ── 10.203.77.2, in the namespace
//!                        ◄── delay, rate, queue ──
//! ```

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use harness::namespace::Namespace;
use tappers::{Interface, Tun};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 203, 77, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 203, 77, 2);
const PREFIX: u32 = 30;
/// What an Ethernet carries, so that TCP's segments are of the usual size.
const PACKET_BYTES: usize = 1_500;
/// What waits for its turn at most, one way: what the link holds at 100 Mbit/s and 30 ms.
const QUEUE_BYTES: f64 = 375_000.0;

/// What the link does to packets, either way. At rate 0 it does nothing.
#[derive(Debug, Default)]
struct Shape {
    delay_us: AtomicU64,
    bits_per_second: AtomicU64,
    dropped: AtomicU64,
}

/// Whether a run has a link, and which.
#[derive(Debug, Clone, Args)]
pub struct LinkArguments {
    /// Puts the sites and their servers behind a link, in a network namespace; root only.
    #[arg(long)]
    pub wan: bool,
    /// The link's delay one way.
    #[arg(long, default_value_t = 15)]
    pub delay_ms: u64,
    /// The link's rate, each way.
    #[arg(long, default_value_t = 100)]
    pub rate_mbit: u64,
}

impl LinkArguments {
    /// The link, if there is to be one, with nothing held back yet.
    ///
    /// # Errors
    /// Those of [`Link::open`].
    pub fn open(&self) -> Result<Option<Link>, String> {
        self.wan.then(Link::open).transpose()
    }

    /// From now on the link is as long and as narrow as was asked.
    pub fn shape(&self, link: &Link) {
        link.shape(Duration::from_millis(self.delay_ms), self.rate_mbit);
    }
}

/// A link that is up; dropped, the namespace is gone.
#[derive(Debug)]
pub struct Link {
    device: String,
    namespace: Namespace,
    shape: Arc<Shape>,
}

impl Link {
    /// Makes the namespace and joins it, with nothing held back yet.
    ///
    /// # Errors
    /// When `ip` or the kernel refuses a step, as to anyone but root.
    pub fn open() -> Result<Self, String> {
        let id = std::process::id();
        let (near, far) = (format!("near{id}"), format!("far{id}"));
        let namespace = Namespace { name: format!("chancery-{id}"), address: THERE };
        ip(&["netns", "add", &namespace.name])?;
        let link = Self { device: near.clone(), namespace, shape: Arc::default() };
        let (here, there) = (open_tun(&near)?, open_tun(&far)?);
        let name = link.namespace.name.as_str();
        ip(&["link", "set", &far, "netns", name])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        for (namespace, device, address) in [(None, &near, HERE), (Some(name), &far, THERE)] {
            let of = namespace.map_or_else(Vec::new, |name| vec!["-n", name]);
            let address = format!("{address}/{PREFIX}");
            ip(&[of.as_slice(), &["addr", "add", &address, "dev", device]].concat())?;
            // Nothing is said on the link but what the measured say.
            ip(&[of.as_slice(), &["link", "set", device, "addrgenmode", "none"]].concat())?;
            ip(&[of.as_slice(), &["link", "set", device, "mtu", &PACKET_BYTES.to_string(), "up"]].concat())?;
        }
        let (here, there) = (Arc::new(here), Arc::new(there));
        carry(&here, &there, &link.shape);
        carry(&there, &here, &link.shape);
        Ok(link)
    }

    /// Holds packets back from now on: the delay is one way, the rate is each way.
    pub fn shape(&self, delay: Duration, megabits_per_second: u64) {
        self.shape.delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.shape.bits_per_second.store(megabits_per_second * 1_000_000, Ordering::SeqCst);
    }

    /// The other end.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Bytes that the interface here has sent and received, with all headers of TCP and IP.
    pub fn bytes(&self) -> (u64, u64) {
        let count = |what: &str| {
            let file = format!("/sys/class/net/{}/statistics/{what}_bytes", self.device);
            std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
        };
        (count("tx"), count("rx"))
    }

    /// Packets that the queues had no room for.
    pub fn dropped(&self) -> u64 {
        self.shape.dropped.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Nothing can be done about a namespace that stays.
        let _ = ip(&["netns", "delete", &self.namespace.name]);
    }
}

fn open_tun(name: &str) -> Result<Tun, String> {
    let interface = Interface::new(name).map_err(|error| format!("{name}: {error}"))?;
    Tun::new_named(interface).map_err(|error| format!("the TUN device {name}: {error}"))
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), told.trim())) }
}

/// A packet and when it arrives.
type OnItsWay = (Instant, Vec<u8>);

/// Carries packets one way, until the process ends.
fn carry(from: &Arc<Tun>, to: &Arc<Tun>, shape: &Arc<Shape>) {
    let (sender, receiver) = channel();
    let (from, to, shape) = (Arc::clone(from), Arc::clone(to), Arc::clone(shape));
    thread::spawn(move || take(&from, &sender, &shape));
    thread::spawn(move || deliver(receiver, &to));
}

fn take(from: &Tun, sender: &Sender<OnItsWay>, shape: &Shape) {
    let mut buffer = vec![0; PACKET_BYTES];
    // When everything taken so far will have left.
    let mut free = Instant::now();
    while let Ok(length) = from.recv(&mut buffer) {
        let now = Instant::now();
        let mut arrives = now;
        let rate = shape.bits_per_second.load(Ordering::Relaxed) as f64 / 8.0;
        if rate > 0.0 {
            free = free.max(now);
            if (free - now).as_secs_f64() * rate > QUEUE_BYTES {
                shape.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            free += Duration::from_secs_f64(length as f64 / rate);
            arrives = free + Duration::from_micros(shape.delay_us.load(Ordering::Relaxed));
        }
        if sender.send((arrives, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn deliver(receiver: Receiver<OnItsWay>, to: &Tun) {
    for (arrives, packet) in receiver {
        thread::sleep(arrives.saturating_duration_since(Instant::now()));
        // What an interface refuses is lost, as packets may be.
        let _ = to.send(&packet);
    }
}

//! A102: connections that flood a door with frames of HTTP/2 below what any call is, and connections that say nothing. Whoever
//! else asks is answered, and the node's memory stays what it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::cluster::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::federation::{COUNT_ORDERS, NORTH, eventually_value, north};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAMES: u32 = 100_000;
const FLOODERS: usize = 4;
const SILENT: usize = 2_000;
/// What a flood may make a node grow by: buffers of its connections, not what was sent.
const GROWTH_BYTES: u64 = 96 << 20;
/// A flood that is neither taken nor refused is held up, and then harms nobody.
const HELD_UP: Duration = Duration::from_secs(10);

pub(super) const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

/// How a flood ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The node closed the connection.
    Closed,
    /// All was sent.
    Taken,
    /// The node reads no more.
    HeldUp,
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call, by HPACK's static table but for the path.
pub(super) fn call() -> Vec<u8> {
    let path = b"/arrow.flight.protocol.FlightService/GetFlightInfo";
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    block
}

type Flood = (&'static str, fn(u32) -> Vec<u8>);

/// The n-th frames of each kind of flood.
const FLOODS: [Flood; 6] = [
    ("streams reset at once", |n| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &call()), reset].concat()
    }),
    ("headers without end", |n| match n {
        0 => frame(HEADERS, 0, 1, &call()),
        // A header of 200 bytes that is not indexed.
        _ => frame(CONTINUATION, 0, 1, &[&[0x00, 0x01, b'a', 0x7f, 73][..], &[b'b'; 200]].concat()),
    }),
    ("pings", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
    ("settings", |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
    ("priorities", |n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 16])),
    ("windows of no stream", |n| frame(WINDOW_UPDATE, 0, 2 * n + 1, &1_u32.to_be_bytes())),
];

async fn flood(address: &str, frames: fn(u32) -> Vec<u8>) -> End {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut answers, mut sink) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while answers.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let sent = timeout(HELD_UP, async {
        sink.write_all(&[PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat()).await?;
        for first in (0..FRAMES).step_by(100) {
            sink.write_all(&(first..first + 100).flat_map(frames).collect::<Vec<_>>()).await?;
        }
        std::io::Result::Ok(())
    });
    match sent.await {
        Err(_) => End::HeldUp,
        Ok(Err(_)) => End::Closed,
        // What was sent may be refused when it is read.
        Ok(Ok(())) => timeout(Duration::from_secs(1), reading).await.map_or(End::Taken, |_| End::Closed),
    }
}

/// Asks until it is told to stop; how often it was answered.
async fn ask_all_the_time(cluster: Arc<Cluster>, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let ana = cluster.user("ana").await;
    while !stop.load(Ordering::Relaxed) {
        let answer = timeout(Duration::from_secs(30), ana.query(COUNT_ORDERS)).await;
        answer.expect("an answer in time").expect("an answer");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a102_frames_without_end_hold_up_nobody_else() {
    let cluster = Arc::new(north(NORTH).await);
    let address = cluster.address().to_string();
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let asking = tokio::spawn(ask_all_the_time(Arc::clone(&cluster), Arc::clone(&stop), Arc::clone(&answered)));
    let before = cluster.coordinator().usage().expect("it runs").memory_bytes;
    for (what, frames) in FLOODS {
        let before_flood = answered.load(Ordering::Relaxed);
        let flooding: Vec<_> = (0..FLOODERS)
            .map(|_| {
                let address = address.clone();
                tokio::spawn(async move { flood(&address, frames).await })
            })
            .collect();
        let mut ends = Vec::new();
        for flooding in flooding {
            ends.push(flooding.await.unwrap());
        }
        let grown = cluster.coordinator().usage().expect("it runs").memory_bytes.saturating_sub(before);
        println!("{what}: {ends:?}, grown by {} KiB", grown >> 10);
        assert!(grown < GROWTH_BYTES, "{what}: the node has grown by {} MiB", grown >> 20);
        if ["streams reset at once", "headers without end"].contains(&what) {
            assert!(ends.iter().all(|end| *end == End::Closed), "{what} is taken: {ends:?}");
        }
        // One more answer, after all that.
        let seen = answered.load(Ordering::Relaxed).max(before_flood);
        timeout(Duration::from_secs(30), async {
            while answered.load(Ordering::Relaxed) == seen {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{what}: nobody else is answered"));
    }
    stop.store(true, Ordering::Relaxed);
    asking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a102_connections_that_say_nothing_hold_up_nobody_else() {
    let cluster = north(NORTH).await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    let before = cluster.coordinator().usage().expect("it runs").memory_bytes;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(cluster.address()).await.unwrap());
    }
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
    let grown = cluster.coordinator().usage().expect("it runs").memory_bytes.saturating_sub(before);
    assert!(grown < GROWTH_BYTES, "the node has grown by {} MiB", grown >> 20);
    drop(silent);
}

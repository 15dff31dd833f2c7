//! What nobody may open and where nobody may connect: each tells whether somebody did.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A connection of our own is seen within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that notices that it is opened: a named pipe, whose writer gets no further until there is a reader.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    opened: Arc<AtomicBool>,
    writer: JoinHandle<()>,
}

impl WatchedFile {
    /// Makes it.
    pub fn make(path: &Path) -> Self {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success(), "no pipe at {}", path.display());
        let opened = Arc::new(AtomicBool::new(false));
        let (of_writer, noted) = (path.to_path_buf(), Arc::clone(&opened));
        let writer = thread::spawn(move || {
            let _pipe = File::options().write(true).open(of_writer).expect("a pipe");
            noted.store(true, Ordering::SeqCst);
        });
        Self { path: path.to_path_buf(), opened, writer }
    }

    /// Whether anybody has opened it. It is then opened here, so that a watch that sees nothing fails.
    pub fn end(self) -> bool {
        let opened = self.opened.load(Ordering::SeqCst);
        if !opened {
            drop(File::open(&self.path).expect("a pipe"));
        }
        self.writer.join().expect("the pipe has a reader");
        opened
    }
}

/// An address at which connections are counted.
#[derive(Debug)]
pub struct WatchedAddress(TcpListener);

impl WatchedAddress {
    /// At a free port.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// How many have connected. It is then connected to here, so that a watch that sees nothing fails.
    pub fn end(self) -> usize {
        let connected = self.taken();
        let _connection = TcpStream::connect(self.address()).expect("it listens");
        let began = Instant::now();
        while self.taken() == 0 {
            assert!(began.elapsed() < PATIENCE, "no connection is seen");
            thread::sleep(Duration::from_millis(10));
        }
        connected
    }

    /// Connections that have come since. They wait until they are taken, also when whoever made them has gone.
    fn taken(&self) -> usize {
        let mut taken = 0;
        loop {
            match self.0.accept() {
                Ok(_) => taken += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return taken,
                // It was there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => taken += 1,
                Err(error) => panic!("connections cannot be counted: {error}"),
            }
        }
    }
}

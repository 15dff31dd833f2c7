//! The machine under a node, as a test wants it: a clock that is wrong, a disk that stands still at one step of a record.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the node's process loads first; `machine.c` beside this file, built with the tests.
const LIBRARY: &str = env!("CHANCERY_MACHINE_LIBRARY");
/// The length of what it reads: four numbers and a text.
const LENGTH: usize = 256;
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// A machine. It outlives the process that runs on it, its clock too.
#[derive(Debug)]
pub struct Machine {
    path: PathBuf,
    file: File,
}

/// Where a disk stands still while it makes a record lasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The record is not written.
    Unwritten = 1,
    /// It is written, and lost when the power is cut.
    Written = 2,
    /// It is on the disk, and nobody has been told.
    Synced = 3,
}

impl Machine {
    /// A machine like the one that the tests run on.
    pub(super) fn new(path: &Path) -> Self {
        let file = File::options().create_new(true).read(true).write(true).open(path).expect("a writable directory");
        let machine = Self { path: path.to_path_buf(), file };
        machine.write(0, &[0; LENGTH]);
        machine
    }

    /// Has the command run on it.
    pub(super) fn run(&self, command: &mut Command) {
        command.env("LD_PRELOAD", LIBRARY).env("CHANCERY_MACHINE", &self.path);
    }

    /// Sets the clock so far ahead of the true time, or behind it.
    pub fn set_clock_ahead_s(&self, seconds: i64) {
        self.set(0, seconds * 1_000_000_000);
        self.set(1, 0);
    }

    /// Stops the clock at the true time.
    pub fn stop_clock(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        self.set(1, i64::try_from(now.as_nanos()).expect("a time before 2262"));
    }

    /// From now on the disk stands still at that step of the next record that has this text.
    pub fn stop_disk(&self, at: Step, text: &str) {
        let mut bytes = [0; LENGTH - 32];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        self.write(32, &bytes);
        self.set(2, at as i64);
    }

    /// Waits until the disk stands still.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn disk_stopped(&self) {
        let stopped = async {
            while self.get(3) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(STOPPED_WITHIN, stopped).await.is_ok(), "nothing comes to where the disk stops");
    }

    /// Lets the disk go on; also for the node's next process.
    pub fn start_disk(&self) {
        self.set(2, 0);
        self.set(3, 0);
    }

    fn set(&self, place: u64, value: i64) {
        self.write(place * 8, &value.to_ne_bytes());
    }

    fn get(&self, place: u64) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, place * 8).expect("a file of ours");
        i64::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).expect("a file of ours");
    }
}

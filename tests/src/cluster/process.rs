//! One node as a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::binary::chancery;
use super::machine::Machine;
use crate::namespace::Namespace;

/// Where a node puts what does not fit into its memory.
pub(super) fn scratch(config: &Path) -> PathBuf {
    config.with_extension("spill")
}

/// What a process has at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Memory that it has now.
    pub memory_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Files, sockets and the like that it has open.
    pub handles: u64,
    /// CPU time that it has used so far, in clock ticks (100 a second).
    pub cpu_ticks: u64,
}

/// Where a node runs, when that is not simply here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) machine: Option<&'a Machine>,
    pub(super) namespace: Option<&'a Namespace>,
    /// Whether it logs JSON.
    pub(super) json: bool,
}

/// A running `chancery site` or `chancery coordinator`; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Process {
    /// Starts `chancery <role> --config <config>`, logging from `level` on, and waits until it says where it serves.
    pub fn start(role: &str, config: &Path, level: &str) -> Self {
        Self::start_at(Place::default(), role, config, level)
    }

    /// The same at a place of the test's.
    pub(super) fn start_at(place: Place<'_>, role: &str, config: &Path, level: &str) -> Self {
        let log = config.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).expect("a log file beside the configuration");
        let scratch = scratch(config);
        std::fs::create_dir_all(&scratch).expect("a directory beside the configuration");
        let mut command = Namespace::command_in(place.namespace, chancery());
        if let Some(machine) = place.machine {
            machine.run(&mut command);
        }
        let mut child = command
            .args([role, "--config"])
            .arg(config)
            .env("RUST_LOG", level)
            .env("TMPDIR", scratch)
            .env("CHANCERY_LOG_FORMAT", if place.json { "json" } else { "text" })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the chancery binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a piped standard output")).lines();
        let line = lines.next().and_then(Result::ok).unwrap_or_else(|| {
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("`chancery {role}` ended before it served: {told}")
        });
        let (_, address) = line.rsplit_once("://").unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address: address.to_string(), log }
    }

    /// Where it listens, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may be dead already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal, as an operator does: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status();
        assert!(told.expect("a shell").success(), "no process takes the signal");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not after two minutes.
    pub fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a process of ours") {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "the node has not ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The most memory that it ever had at one time; `None` when it runs no more.
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        Some(self.status("VmHWM:")? * 1024)
    }

    /// What it has now; `None` when it runs no more.
    pub fn usage(&self) -> Option<Usage> {
        Some(Usage {
            memory_bytes: self.status("VmRSS:")? * 1024,
            threads: self.status("Threads:")?,
            handles: std::fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?.count() as u64,
            cpu_ticks: self.cpu_ticks(),
        })
    }

    /// A number that the kernel tells, memory in KiB; a process that has ended and was not waited for has no memory.
    fn status(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    }

    /// CPU time that it has used so far, in clock ticks (100 a second).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("a living process");
        let (_, after_name) = stat.rsplit_once(')').expect("the form of /proc/<id>/stat");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system time")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

//! What every kept run has: where it was measured, what it took, and its file below `benches/runs/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the kernel counts CPU time in.
pub const TICK_MS: u64 = 10;

/// Writes `report` and, beside it, every single measurement, below `out` or `runs/<date>-<host>`; returns the report's file.
/// The first line is the command.
///
/// # Errors
/// When the directory of the runs cannot be written.
pub fn keep(name: &str, out: Option<&Path>, report: &str, csv: &str) -> io::Result<PathBuf> {
    let directory = out.map_or_else(kept_below, Path::to_path_buf);
    fs::create_dir_all(&directory)?;
    // Where things lie on the machine is nobody's business.
    let without_directory = |word: String| match Path::new(&word).file_name() {
        Some(name) if word.contains('/') => name.to_string_lossy().into_owned(),
        _ => word,
    };
    let command = std::env::args().map(without_directory).collect::<Vec<_>>().join(" ");
    let file = directory.join(format!("{name}.txt"));
    fs::write(&file, format!("{command}\n\n{report}"))?;
    fs::write(file.with_extension("csv"), csv)?;
    Ok(file)
}

/// How a program that measures ends: it prints its report, and fails when that is not clean, or when it could not measure.
pub fn conclude(program: &str, measured: Result<(String, bool), String>) -> ExitCode {
    match measured {
        Ok((report, is_clean)) => {
            print!("{report}");
            if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(fault) => {
            eprintln!("{program}: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn kept_below() -> PathBuf {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs");
    runs.join(format!("{}-{}", told("date", &["-u", "+%F"]), host.trim()))
}

/// Commit and machine.
pub fn place() -> String {
    let field = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_string())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (model, memory) = (field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"));
    let is_changed = !told("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let commit = told("git", &["rev-parse", "--short", "HEAD"]);
    format!("commit {commit}{}, {cores} cores ({model}), {memory}", if is_changed { ", changed" } else { "" })
}

/// The middle one; of two in the middle their mean.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// The time, in microseconds since 1970.
pub fn now_us() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

/// CPU time of this process so far, all threads.
pub fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name, which may have spaces: user and system time are the 12th and 13th.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    TICK_MS * fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
}

/// The most memory that this process had at once.
pub fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// What a command says, on one line.
fn told(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

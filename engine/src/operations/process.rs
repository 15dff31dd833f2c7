//! The numbers of this process, as Linux tells them in `/proc/self`, under the names that Prometheus has for them.

use std::fs;

use crate::session::process_memory::resident_bytes;

/// What is known of the process; what cannot be read is not told.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) files_max: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
}

/// Of these Linux counts a hundred a second, whatever its own clock does (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    pub(super) fn now() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let open_files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
        let resident_bytes = resident_bytes().map(|bytes| bytes as u64);
        Self { open_files, resident_bytes, ..Self::of(&read("status"), &read("stat"), &read("limits")) }
    }

    fn of(status: &str, stat: &str, limits: &str) -> Self {
        let of_status = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let files_max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            resident_bytes: None,
            virtual_bytes: of_status("VmSize").map(|kib| kib * 1_024),
            threads: of_status("Threads"),
            open_files: None,
            files_max: files_max.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            cpu_seconds: cpu_seconds(stat),
        }
    }
}

/// The user and system time of `/proc/self/stat`; the name before them may hold any sign.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let ticks = times.next()?.parse::<u64>().ok()?.checked_add(times.next()?.parse().ok()?)?;
    // More than 32 bits of them after 500 days of one processor; of 53 bits a float loses none.
    Some(ticks as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_them() {
        let status = "Name:\tchancery\nVmSize:\t  2048 kB\nThreads:\t17\n";
        let stat = "4711 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        let told = Process::of(status, stat, limits);
        let expected = Process {
            resident_bytes: None,
            virtual_bytes: Some(2 << 20),
            threads: Some(17),
            open_files: None,
            files_max: Some(1_024),
            cpu_seconds: Some(3.0),
        };
        assert_eq!(told, expected);
        assert_eq!(Process::of("", "", ""), Process::default());
        let long = "1 (a) S 1 2 3 4 5 6 7 8 9 10 500000000000 0 0 0 20";
        assert_eq!(Process::of("", long, "").cpu_seconds, Some(5e9));
    }

    #[test]
    fn this_process_is_read() {
        let now = Process::now();
        assert!(now.resident_bytes > Some(1 << 20) && now.threads > Some(0) && now.open_files > Some(0), "{now:?}");
        assert!(now.files_max.is_some() && now.cpu_seconds.is_some(), "{now:?}");
    }
}

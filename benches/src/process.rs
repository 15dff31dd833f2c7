//! What processes take: CPU time and memory, read from the kernel's own account of them.

use std::fs;

use crate::run::TICK_MS;

/// A process and all that it has started.
#[derive(Debug, Clone, Copy)]
pub struct Tree(pub u32);

impl Tree {
    /// CPU time so far, also of its descendants that have ended.
    pub fn cpu_ms(self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // After the program's name, which may have spaces: user and system time, then those of the children waited for.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
        let own = TICK_MS * fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        own + self.children().into_iter().map(Self::cpu_ms).sum::<u64>()
    }

    /// Forgets the most memory that the process had; its children are left out.
    pub fn forget_peak(self) {
        // What has ended has no memory to forget.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    /// The most memory that the process had since then.
    pub fn peak_mb(self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    }

    fn children(self) -> Vec<Self> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().filter_map(Result::ok);
        let listed = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
        listed
            .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok().map(Self)).collect::<Vec<_>>())
            .collect()
    }
}

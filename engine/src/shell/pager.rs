//! A program that a person reads long answers with: `$PAGER`, or `less`.

use std::process::{Child, ChildStdin, Command, Stdio};

use crate::config::environment;

/// Ends by itself when all fits on the screen, keeps colours and long lines, and leaves the answer there.
const LESS_OPTIONS: &str = "FRSX";

/// A running pager.
pub(super) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts it; `None` where there is none, and where `$PAGER` is `cat`.
    pub(super) fn start() -> Option<(Self, ChildStdin)> {
        let program = environment::variable("PAGER").unwrap_or_else(|| "less".to_owned());
        if program == "cat" {
            return None;
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {program}")).stdin(Stdio::piped());
        if environment::variable("LESS").is_none() {
            command.env("LESS", LESS_OPTIONS);
        }
        let mut child = is_found(&program).then(|| command.spawn().ok()).flatten()?;
        let input = child.stdin.take()?;
        Some((Self { child }, input))
    }

    /// Waits until the reader has seen enough.
    pub(super) fn wait(mut self) {
        // A pager that cannot be waited for has ended.
        let _ = self.child.wait();
    }
}

/// Whether the first word of a command line names a program.
fn is_found(program: &str) -> bool {
    let word = program.split_whitespace().next().unwrap_or_default();
    let paths = environment::variable("PATH").unwrap_or_default();
    word.contains('/') || paths.split(':').any(|directory| std::path::Path::new(directory).join(word).is_file())
}

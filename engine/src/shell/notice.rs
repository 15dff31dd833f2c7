//! What the shell says to its user on standard error, beside the results.

use std::io::{self, Write};

use super::error::ShellError;
use super::format::printable;

/// Says one thing. Standard error may be closed: there is nobody left to tell, and results matter more.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Tells what went wrong. Servers' words may hold anything, so what would steer the terminal is shown as text.
pub(super) fn error(error: &ShellError) {
    for line in error.to_string().lines() {
        say(&printable(line));
    }
}

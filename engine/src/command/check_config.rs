//! `chancery check-config`: every fault of configuration files, before a node is started with them.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, FileKind};
use crate::error::Result;

/// `chancery check-config`
#[derive(Debug, clap::Args)]
pub struct CheckConfigArgs {
    /// The files: a site's, a coordinator's or that of `serve`; which one it is, is told by its keys.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `chancery check-config`: one line for each good file and for each fault, exit status 1 when there is a fault.
///
/// # Errors
/// None: a faulty file is the answer, not a failure.
pub fn run(args: CheckConfigArgs) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for path in args.files {
        let line = match config::check(&path) {
            Ok(kind) => format!("{}: ok ({})", path.display(), describe(kind)),
            Err(faults) => {
                code = ExitCode::FAILURE;
                faults.to_string()
            }
        };
        // A closed pipe changes nothing about the answer, which is the exit status.
        let _ = writeln!(out, "{line}");
    }
    Ok(code)
}

fn describe(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Site => "a site",
        FileKind::Coordinator => "a coordinator",
        FileKind::Serve => "a coordinator and its sites",
    }
}

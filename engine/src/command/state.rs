//! `chancery state`: a copy of what a node keeps, also while it runs; the way back; and whether either can be used.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::serve::faults;
use crate::config;
use crate::error::Result;
use crate::state::backup::backup;
use crate::state::check::{check_backup, check_state};
use crate::state::restore::{Restored, restore};

/// `chancery state …`
#[derive(Debug, clap::Subcommand)]
pub enum StateCommand {
    /// Copy a node's state and its users file into a new directory; the node may run.
    Backup(BackupArgs),
    /// Put the state of a backup where the node will look for it; the node must not run, and must have none there.
    Restore(RestoreArgs),
    /// Read a node's state, or a backup, and name what is wrong in it; exit status 1 when something is.
    Check(CheckArgs),
}

/// `chancery state backup`
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory to be made.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// `chancery state restore`
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

/// `chancery state check`
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct CheckArgs {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of a backup.
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
}

/// Runs `chancery state`.
///
/// # Errors
/// `CONFIG`, `AUDIT` and `POLICY`, as what is read or written deserves.
pub fn run(command: StateCommand) -> Result<ExitCode> {
    match command {
        StateCommand::Backup(args) => {
            let made = backup(&config::load_place(&args.config).map_err(faults)?, &args.to)?;
            let head = made.audit_head.map_or_else(String::new, |head| format!(", audit head {head}"));
            tell(&format!("{} files of {} in {}{head}", made.files.len(), made.node, args.to.display()));
        }
        StateCommand::Restore(args) => {
            let node = config::load_place(&args.config).map_err(faults)?;
            let Restored { manifest, other_users } = restore(&node, &args.from)?;
            tell(&format!("{} is as it was at {}; start it", manifest.node, manifest.taken_at));
            if let Some(users) = other_users {
                tell(&format!(
                    "its users file was there and is left as it is; that of the backup is {}",
                    users.display()
                ));
            }
        }
        StateCommand::Check(args) => return check(&args),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(args: &CheckArgs) -> Result<ExitCode> {
    let looked = match (&args.config, &args.backup) {
        (Some(config), _) => check_state(&config::load_place(config).map_err(faults)?),
        (None, backup) => check_backup(&backup.clone().unwrap_or_default()),
    };
    for one in &looked {
        match one {
            Ok(what) => tell(&format!("ok: {what}")),
            Err(error) => tell(&format!("BAD: {}", error.sentence())),
        }
    }
    Ok(if looked.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A closed pipe changes nothing about the answer, which is the exit status.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

//! `chancery audit`: the head of a site's log, to be kept elsewhere, and whether the log is as it was written.
//!
//! Both read the files only, so they work while the site runs, when it does not, and on a copy.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::audit::log::read_head;
use crate::audit::verify::{Verified, verify};
use crate::audit::{DIRECTORY, Head};
use crate::command::serve::faults;
use crate::config;
use crate::error::{Code, EngineError, Result};

/// `chancery audit …`
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Print number and hash of the last record; whoever keeps them elsewhere can show later that nothing before is missing.
    Head(HeadArgs),
    /// Read all records and name the first that is not as it was written; exit status 1 when there is one.
    Verify(VerifyArgs),
}

/// `chancery audit head`
#[derive(Debug, clap::Args)]
pub struct HeadArgs {
    #[command(flatten)]
    place: Place,
}

/// `chancery audit verify`
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// A head that was kept elsewhere: only by it are records missed that were cut off the end.
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Head>,
}

/// Which site's log.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The site's configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The site's state directory.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs `chancery audit`.
///
/// # Errors
/// `CONFIG` when the configuration is faulty; `AUDIT` when there is no log, or its last record cannot be read.
pub fn run(command: AuditCommand) -> Result<ExitCode> {
    match command {
        AuditCommand::Head(args) => {
            tell(&read_head(&args.place.directory()?)?.to_string());
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Verify(args) => {
            let verified = verify(&args.place.directory()?, args.head.as_ref());
            match &verified {
                Ok(verified) => tell(&describe(verified)),
                Err(fault) => tell(&format!("BAD: {fault}")),
            }
            Ok(if verified.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

impl Place {
    /// The directory of the log. A log that is not there is an error: it would verify as an empty one.
    fn directory(&self) -> Result<PathBuf> {
        let state = match (&self.config, &self.state) {
            (Some(config), _) => config::load_site(config).map_err(faults)?.node.state,
            (None, state) => state.clone().unwrap_or_default(),
        };
        let directory = state.join(DIRECTORY);
        if directory.is_dir() { Ok(directory) } else { Err(no_log(&directory)) }
    }
}

fn no_log(directory: &Path) -> EngineError {
    EngineError::new(Code::Audit, format!("there is no audit log in {}", directory.display()))
}

fn describe(verified: &Verified) -> String {
    let unfinished = match verified.torn_bytes {
        0 => String::new(),
        bytes => format!("; {bytes} bytes of a record that is not finished follow"),
    };
    format!("ok: {} records, head {}{unfinished}", verified.records, verified.head)
}

/// A closed pipe changes nothing about the answer, which is the exit status.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

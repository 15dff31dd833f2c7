//! `chancery policy`: policies in files, looked at before they are in force; and the secret behind pseudonyms.

mod check;
mod diff;
mod load;
pub(crate) mod secret;
mod test;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;

/// `chancery policy …`
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Name every fault of a directory of policies, and where treatments meet.
    Check(CheckArgs),
    /// Run the assertions of a directory of policies: who sees what of it.
    Test(TestArgs),
    /// Tell who sees more and who sees less by directory B than by directory A.
    Diff(DiffArgs),
    /// Make the secret behind pseudonyms; the sites whose pseudonyms are to meet get the same.
    Secret(SecretArgs),
}

/// `chancery policy check`
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The directory of the *.sql files.
    directory: PathBuf,
    /// The configuration of the site, to check against its tables; without it all is checked that needs no table.
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

/// `chancery policy test`
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The directory of the *.sql files and of the assertions, *.test.toml.
    directory: PathBuf,
    /// The configuration of the site, whose tables the policies are about; without it the tables are those that the
    /// files of assertions declare: [tables], "source.table" = { column = "Type" }.
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

/// `chancery policy diff`
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The directory as it was.
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The directory as it is to be.
    #[arg(value_name = "B")]
    after: PathBuf,
    /// The configuration of the site, to compare over its tables; without it over what the statements name.
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

/// `chancery policy secret`
#[derive(Debug, clap::Args)]
pub struct SecretArgs {
    /// The file; it must not be there yet, and only its owner can read it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs `chancery policy`. Exit status 1 when there is a fault, or an assertion does not hold.
///
/// # Errors
/// `CONFIG` when the site's configuration cannot be used or a file cannot be written.
pub async fn run(command: PolicyCommand) -> Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => check::run(args).await,
        PolicyCommand::Test(args) => test::run(args).await,
        PolicyCommand::Diff(args) => diff::run(args).await,
        PolicyCommand::Secret(args) => secret::run(&args),
    }
}

/// Lines for standard output. A closed pipe changes nothing about the answer, which is the exit status.
fn tell(lines: impl IntoIterator<Item = String>) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

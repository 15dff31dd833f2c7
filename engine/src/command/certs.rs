//! `chancery certs`: certificates for a federation on trial; a real one brings its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::identity::certs::{self, NODE_DAYS, NodeName};
use crate::identity::revoked::revoke;

/// `chancery certs …`
#[derive(Debug, clap::Subcommand)]
pub enum CertsCommand {
    /// Make a development authority and node certificates; what is there already stays as it is.
    Init(InitArgs),
    /// List a certificate among those that the authority takes back: `revoked.crl` in the same directory, for `[tls] revoked`.
    Revoke(RevokeArgs),
}

/// `chancery certs init`
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The directory of all certificates and keys; made when missing.
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// A node, with the other names and addresses it is reached by; once for each node.
    #[arg(long = "node", value_name = "NAME[:OTHER,…]", required = true)]
    nodes: Vec<NodeName>,
    /// For how many days a node's certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = NODE_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// `chancery certs revoke`
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The directory of the authority.
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// The certificate's PEM file; without it the list is made if there is none.
    #[arg(value_name = "CERTIFICATE")]
    certificate: Option<PathBuf>,
}

/// Runs `chancery certs`.
///
/// # Errors
/// `CONFIG` when a file cannot be read or written.
pub fn run(command: CertsCommand) -> Result<ExitCode> {
    let told = match command {
        CertsCommand::Init(args) => {
            let made = certs::init_for_days(&args.dir, &args.nodes, args.days)?;
            made.iter().map(ToString::to_string).collect()
        }
        CertsCommand::Revoke(args) => {
            let list = revoke(&args.dir, args.certificate.as_deref())?;
            vec![format!("{} is what nodes read at `[tls] revoked`", list.display())]
        }
    };
    let mut out = std::io::stdout().lock();
    for line in told {
        // Nobody reads a closed pipe; the files are made all the same.
        let _ = writeln!(out, "{line}");
    }
    Ok(ExitCode::SUCCESS)
}

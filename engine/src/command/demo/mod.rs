//! `chancery demo`: three agencies with real data in one process, asked a few questions across their borders.

mod federation;
pub mod policies;
mod questions;
pub mod tpch;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use self::federation::{ADMINISTRATOR, Files};
use crate::command::serve::{Sites, StopSignal, run_until_signal};
use crate::error::{EngineError, Result};
use crate::node::RunningNode;

/// `chancery demo`
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Stop after the questions instead of serving.
    #[arg(long)]
    exit: bool,
    /// Add the sites sales, logistics and supply with generated TPC-H data at this scale factor (1 is about 1 GB).
    #[arg(long, value_name = "SCALE", value_parser = positive_scale)]
    tpch: Option<f64>,
    /// Where the coordinator listens, in plain text.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:32010", value_parser = loopback)]
    listen: SocketAddr,
}

fn positive_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 1000.0 => Ok(scale),
        _ => Err("a scale factor is a number above 0, such as 0.1 or 1".to_string()),
    }
}

/// The demo's users' door is plain text, so it is open on this machine only.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write address:port, such as 127.0.0.1:32010".to_string())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the demo speaks plain text and listens on loopback only".to_string())
    }
}

/// Runs the demo.
///
/// # Errors
/// When the federation cannot be started or a question is not answered.
pub async fn run(args: DemoArgs) -> Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let files = federation::write(args.listen, args.tpch)?;
    let nodes = tokio::select! {
        started = start_and_ask(&args, &files) => started?,
        () = stop.received() => return Ok(ExitCode::SUCCESS),
    };
    if args.exit {
        return Ok(ExitCode::SUCCESS);
    }
    let ended = run_until_signal(nodes, &mut stop).await;
    // Only now may the data go: the sites read it until their doors are closed.
    drop(files);
    ended
}

/// The nodes, once all questions are answered. No user is let in before every agency has its policy.
async fn start_and_ask(args: &DemoArgs, files: &Files) -> Result<Vec<RunningNode>> {
    let config = crate::config::load_serve(&files.serve_config()).map_err(crate::command::serve::faults)?;
    let Sites { coordinator, running: sites } = Sites::start(config).await?;
    for site in &sites {
        policies::write(&site.name, site.address, &files.authority(), ADMINISTRATOR).await?;
    }
    let coordinator = RunningNode::coordinator(&coordinator).await?;
    let address = coordinator.address;
    questions::ask_all(address).await?;
    if !args.exit {
        say(&how_to_connect(address, args.tpch.is_some()))?;
        say(&how_to_administrate(&sites, &files.authority()))?;
    }
    Ok(std::iter::once(coordinator).chain(sites).collect())
}

fn how_to_connect(address: SocketAddr, with_tpch: bool) -> String {
    let tpch = if with_tpch {
        "Also there: sales.tpch.{customer, orders}, logistics.tpch.lineitem, \
         supply.tpch.{part, partsupp, supplier, nation, region}.\n"
    } else {
        ""
    };
    format!(
        "Serving Flight SQL at grpc://{address} (plain text, this machine only), user analyst, password analyst.\n\
         {tpch}\n  \
         shell    CHANCERY_PASSWORD=analyst chancery sql --user analyst grpc://{address}\n  \
         Python   pip install adbc-driver-flightsql pyarrow\n           \
         import adbc_driver_flightsql.dbapi as flight_sql\n           \
         db = flight_sql.connect(\"grpc://{address}\", db_kwargs={{\"username\": \"analyst\", \"password\": \"analyst\"}})\n  \
         ledger   SELECT * FROM system.queries.ledger\n  \
         others   desk, registrar, visitor, auditor, admin: each with its name as password\n"
    )
}

fn how_to_administrate(sites: &[RunningNode], authority: &Path) -> String {
    let mut text = "Each site has its own door, where its administrator writes policy:\n".to_string();
    for site in sites {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {:<9} CHANCERY_PASSWORD={ADMINISTRATOR} chancery sql --user {ADMINISTRATOR} --tls-ca {} \\\n            {}",
            site.name,
            authority.display(),
            site.url.replace("127.0.0.1", "localhost"),
        );
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}

/// Prints to standard output; a closed pipe ends the demo quietly.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(EngineError::internal)
}

//! `chancery site`, `chancery coordinator` and `chancery serve`: nodes that run until they are told to stop.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use futures::future::join_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::log_format::LogFormat;
use crate::config::{self, ConfigFaults, CoordinatorConfig, ServeConfig, SiteUrl};
use crate::error::{Code, EngineError, Result};
use crate::node::{RunningNode, Wish};

/// The configuration of a node.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How the log is written: for people, or each line a JSON object. `RUST_LOG` says how much of it.
    #[arg(long, value_enum, default_value = "text", env = "CHANCERY_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
}

/// `chancery site`
///
/// # Errors
/// `CONFIG`, or the server's own failure.
pub async fn site(args: NodeArgs) -> Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let config = config::load_site(&args.config).map_err(faults)?;
    announce_and_run(vec![RunningNode::site(&config).await?], &mut stop).await
}

/// `chancery coordinator`
///
/// # Errors
/// `CONFIG`, or the server's own failure.
pub async fn coordinator(args: NodeArgs) -> Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let config = config::load_coordinator(&args.config).map_err(faults)?;
    announce_and_run(vec![RunningNode::coordinator(&config).await?], &mut stop).await
}

/// `chancery serve`: coordinator and sites in one process, over real connections.
///
/// # Errors
/// `CONFIG`, or a server's own failure.
pub async fn serve(args: NodeArgs) -> Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let config = config::load_serve(&args.config).map_err(faults)?;
    let Sites { coordinator, running } = Sites::start(config).await?;
    let mut nodes = vec![RunningNode::coordinator(&coordinator).await?];
    nodes.extend(running);
    announce_and_run(nodes, &mut stop).await
}

/// The sites of one process, before its coordinator opens a door to users.
#[derive(Debug)]
pub struct Sites {
    /// The configuration of the coordinator, which reaches each site where it came to listen.
    pub coordinator: CoordinatorConfig,
    /// The sites, in the order of the configuration.
    pub running: Vec<RunningNode>,
}

impl Sites {
    /// Starts the sites. A site that listens on port 0 is reached where it came to listen, when the coordinator's address
    /// for it has port 0 too.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be opened or listened on.
    pub async fn start(config: ServeConfig) -> Result<Self> {
        let ServeConfig { mut coordinator, sites } = config;
        let mut running = Vec::new();
        let mut addresses: BTreeMap<String, SocketAddr> = BTreeMap::new();
        for site in &sites {
            let node = RunningNode::site(site).await?;
            addresses.insert(site.node.name.as_str().to_string(), node.address);
            running.push(node);
        }
        for site in &mut coordinator.sites {
            if site.address.uri().port_u16() == Some(0)
                && let Some(address) = addresses.get(site.name.as_str())
            {
                let scheme = site.address.uri().scheme_str().unwrap_or("https");
                site.address = SiteUrl::parse(&format!("{scheme}://{address}")).map_err(EngineError::internal)?;
            }
        }
        Ok(Self { coordinator, running })
    }
}

/// Configuration faults as an error for the terminal.
pub(crate) fn faults(faults: ConfigFaults) -> EngineError {
    EngineError::new(Code::Config, faults.to_string())
}

/// Says where every node listens, one line each, and serves.
async fn announce_and_run(nodes: Vec<RunningNode>, stop: &mut StopSignal) -> Result<ExitCode> {
    {
        let mut out = std::io::stdout().lock();
        for node in &nodes {
            // Nobody may be reading; the log says it too.
            let _ = writeln!(out, "{} serves {}", node.name, node.url);
        }
        let _ = out.flush();
    }
    run_until_signal(nodes, stop).await
}

/// Serves until SIGINT or SIGTERM, or until a node fails; then lets the nodes leave, the first before the others, which
/// answer it. At a second signal they end.
pub(crate) async fn run_until_signal(nodes: Vec<RunningNode>, signal: &mut StopSignal) -> Result<ExitCode> {
    let (wish, behind) = (watch::Sender::new(Wish::Serve), watch::Sender::new(Wish::Serve));
    let served = nodes.into_iter().enumerate().map(|(index, node)| {
        // When the first has left, those behind it leave; when one of them has failed, the first does.
        let (own, next) = if index == 0 { (&wish, &behind) } else { (&behind, &wish) };
        async move {
            let ended = node.serve_until(own.subscribe()).await;
            raise(next, Wish::Drain);
            ended
        }
    });
    let mut served = std::pin::pin!(join_all(served));
    tokio::select! {
        ended = &mut served => return all_well(ended),
        () = signal.received() => raise(&wish, Wish::Drain),
    }
    tokio::select! {
        ended = &mut served => return all_well(ended),
        () = signal.received() => [&wish, &behind].into_iter().for_each(|wish| raise(wish, Wish::End)),
    }
    all_well(served.await)
}

/// A wish that was uttered is not taken back.
fn raise(wish: &watch::Sender<Wish>, to: Wish) {
    wish.send_modify(|wish| *wish = to.max(*wish));
}

fn all_well(ended: Vec<Result<()>>) -> Result<ExitCode> {
    ended.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(ExitCode::SUCCESS)
}

/// SIGINT and SIGTERM, heard from the moment this is made: also by a process that was started with SIGINT ignored, as a
/// shell starts what it puts in the background.
#[derive(Debug)]
pub(crate) struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(EngineError::internal);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one of them; one that came before is not forgotten.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

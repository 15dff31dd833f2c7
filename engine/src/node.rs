//! A running node: a door on a socket, with TLS or on loopback, and its health beside it.

mod leave;
mod linger;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use chrono::Utc;
use datafusion::common::runtime::SpawnedTask;
use futures::TryStreamExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::audit::AuditLog;
use crate::config::{CoordinatorConfig, DoorSecurity, Enforcement, NodeConfig, SiteConfig};
use crate::coordinator::Coordinator;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Access;
use crate::flight::door::Door;
use crate::flight::server::FlightServer;
use crate::identity::delegation::REMEMBERED;
use crate::identity::tls::{Revoked, ServerCertificates};
use crate::identity::{Authenticator, DelegationVerifier, Issuers, PeerTrust, Sessions, Users, handshakes};
use crate::operations::traces::{LAST_SPANS, Traces};
use crate::operations::{self, Listener, Observed};
use crate::sabotage;
use crate::session::process_memory;
use crate::session::queries::{Ends, QueryId, watch};
use crate::site::Site;
use crate::state;

use leave::Leaving;
pub use leave::Wish;
use linger::Lingering;

/// The name of our service, by which its health is asked.
const FLIGHT_SERVICE: &str = <FlightServiceServer<FlightServer> as NamedService>::NAME;

/// A node that serves for as long as this lives.
#[derive(Debug)]
pub struct RunningNode {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where clients reach it, `grpc://address` or `grpc+tls://address`.
    pub url: String,
    /// Where its operator is told how it is.
    pub operations: Option<SocketAddr>,
    leaving: Leaving,
    listener: Option<Listener>,
    traces: Option<Arc<Traces>>,
    stop: watch::Sender<bool>,
    task: SpawnedTask<Result<()>>,
    _watch: SpawnedTask<()>,
}

impl RunningNode {
    /// Opens the sources of a site and its door.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be opened or listened on.
    pub async fn site(config: &SiteConfig) -> Result<Self> {
        let site = Arc::new(Site::open(config).await?);
        let trust = match config.policy.enforcement {
            Enforcement::On => PeerTrust::Listed,
            Enforcement::Off => PeerTrust::Every,
        };
        let issuers =
            Arc::new(Issuers::open(&config.node.issuers, trust, &config.node.limits)?.not_before(site.time()));
        let identities = Identities::new(&config.node, issuers, config.peers.clone(), site.sessions())?;
        let sockets = Sockets::bind(&config.node).await?;
        // From here on no other process takes statements at this address.
        if let Some(restored) = state::restored(&config.node.state, site.time())? {
            identities.delegations.believe_none_before(restored);
        }
        if let Some(audit) = site.audit() {
            identities.remember(audit)?;
        }
        Self::open(site, &config.node, identities, sockets).await
    }

    /// Opens the door of a coordinator.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be listened on.
    pub async fn coordinator(config: &CoordinatorConfig) -> Result<Self> {
        let coordinator = Arc::new(Coordinator::new(config)?);
        let issuers = Arc::new(Issuers::open(&config.node.issuers, PeerTrust::Listed, &config.node.limits)?);
        let identities = Identities::new(&config.node, issuers, BTreeSet::new(), coordinator.sessions())?;
        let sockets = Sockets::bind(&config.node).await?;
        Self::open(coordinator, &config.node, identities, sockets).await
    }

    async fn open(door: Arc<dyn Door>, config: &NodeConfig, identities: Identities, sockets: Sockets) -> Result<Self> {
        sabotage::announce();
        let limits = Arc::new(config.limits.clone());
        let traces = config.traces.as_ref().map(|traces| Traces::of(config.name.as_str(), traces));
        let traces = traces.transpose()?.map(Arc::new);
        if let Some(traces) = &traces {
            door.queries().tell_ends(Arc::clone(traces) as Arc<dyn Ends>);
        }
        let watch = SpawnedTask::spawn(watch(Arc::clone(door.queries())));
        process_memory::keep(door.queries())?;
        let access = Access::new(identities.authenticator, identities.delegations);
        let server = FlightServer::new(Arc::clone(&door), Arc::clone(&access), Arc::clone(&limits))?;
        let turns = Arc::clone(server.turns());
        let flight = FlightServiceServer::new(server)
            .max_decoding_message_size(limits.message_bytes_max)
            .max_encoding_message_size(usize::MAX);
        let (health_reporter, health) = tonic_health::server::health_reporter();
        for service in ["", FLIGHT_SERVICE] {
            health_reporter.set_service_status(service, ServingStatus::Serving).await;
        }
        let mut server = Server::builder()
            .max_concurrent_streams(limits.calls_per_connection_max)
            .http2_keepalive_interval(Some(Duration::from_secs(limits.keepalive_interval_s)))
            .http2_max_header_list_size(limits.metadata_bytes_max);
        if limits.connection_age_s > 0 {
            server = server.max_connection_age(Duration::from_secs(limits.connection_age_s));
        }
        let certificates = match (config.door, &config.tls) {
            (DoorSecurity::Plain, _) => None,
            (DoorSecurity::Tls, Some(material)) => Some(ServerCertificates::open(&material.files)?),
            (DoorSecurity::Tls, None) => return Err(EngineError::defect("a TLS door without a certificate")),
        };
        let Sockets { door: listener, operations } = sockets;
        let address = listener.local_addr().map_err(EngineError::internal)?;
        let (stop, mut stopped) = watch::channel(false);
        let router = server.add_service(health).add_service(flight);
        let until = async move {
            // The sender lives in the node; when it is gone, so is the wish to serve.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let task = SpawnedTask::spawn(async move {
            let served = match certificates {
                Some(certificates) => {
                    let incoming = handshakes::incoming(listener, certificates, &limits).map_ok(Lingering::new);
                    router.serve_with_incoming_shutdown(incoming, until).await
                }
                // Of the server's own setting nothing reaches a listener that it did not open. Without this the end of an
                // answer waits for the client's acknowledgement of what came before, which takes the client 40 ms.
                None => {
                    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(Lingering::new);
                    router.serve_with_incoming_shutdown(incoming, until).await
                }
            };
            served.map_err(EngineError::internal)
        });
        let name = config.name.as_str().to_string();
        tracing::info!(node = name, %address, "serving");
        let scheme = if config.door == DoorSecurity::Tls { "grpc+tls" } else { "grpc" };
        let drain = Duration::from_secs(config.limits.drain_timeout_s);
        let listener = operations
            .map(|socket| {
                let (door, turns) = (Arc::clone(&door), Arc::clone(&turns));
                operations::listen(socket, Observed { name: name.clone(), door, access, turns })
            })
            .transpose()?;
        let leaving = Leaving { name: name.clone(), door, turns, health: health_reporter, drain };
        let url = format!("{scheme}://{address}");
        let operations = listener.as_ref().map(|listener| listener.address);
        Ok(Self { name, address, url, operations, leaving, listener, traces, stop, task, _watch: watch })
    }

    /// Serves until it is wished otherwise; then takes nothing new, lets end what runs, and closes the door.
    ///
    /// # Errors
    /// When the server itself fails.
    pub async fn serve_until(self, mut wish: watch::Receiver<Wish>) -> Result<()> {
        let Self { leaving, listener, traces, stop, task, _watch, .. } = self;
        tokio::pin!(task);
        tokio::select! {
            ended = &mut task => return ended.map_err(EngineError::internal)?,
            // Where nobody can wish anything any more, the process is on its way out.
            _ = wish.wait_for(|wish| *wish != Wish::Serve) => {}
        }
        let rest = leaving.drain(&mut wish).await;
        stop.send_replace(true);
        let mut ended = Ok(Ok(()));
        // The last bytes of an answer may be on their way still, at whatever pace its reader takes them.
        leaving.last_words(rest, &mut wish, async { ended = (&mut task).await.map_err(EngineError::internal) }).await;
        leaving.settle().await;
        if let Some(traces) = traces {
            leaving.last_words(LAST_SPANS, &mut wish, traces.end()).await;
        }
        // Until now it has told that the node is not ready.
        drop(listener);
        ended.flatten()
    }
}

/// By what a node believes those who come to its door.
struct Identities {
    authenticator: Authenticator,
    delegations: Arc<DelegationVerifier>,
}

impl Identities {
    fn new(
        config: &NodeConfig,
        issuers: Arc<Issuers>,
        peers: BTreeSet<String>,
        sessions: &Arc<Sessions>,
    ) -> Result<Self> {
        let limits = &config.limits;
        let users = config.users.as_deref().map(|file| Users::open(file, limits)).transpose()?;
        let delegations = Arc::new(DelegationVerifier::new(config.name.as_str(), Arc::clone(&issuers), limits));
        let lists = config.tls.as_ref().filter(|tls| tls.files.revoked.is_some());
        let revoked = lists.map(|tls| Revoked::open(&tls.files)).transpose()?;
        let authenticator = Authenticator::new(users, peers, issuers, Arc::clone(sessions)).without(revoked);
        Ok(Self { authenticator, delegations })
    }

    /// What was accepted before this process began is not accepted again: the record says what that was.
    fn remember(&self, audit: &AuditLog) -> Result<()> {
        for (query, fragment) in audit.recent_fragments(Utc::now() - REMEMBERED)? {
            if let (Some(query), Ok(fragment)) = (QueryId::parse(&query), usize::try_from(fragment)) {
                self.delegations.remember(&query, fragment)?;
            }
        }
        Ok(())
    }
}

/// Where a node listens: all of it is its own, or it does not start.
struct Sockets {
    door: TcpListener,
    operations: Option<TcpListener>,
}

impl Sockets {
    async fn bind(config: &NodeConfig) -> Result<Self> {
        let operations = match &config.operations {
            Some(asked) => Some(operations::bind(asked.listen).await?),
            None => None,
        };
        Ok(Self { door: listen(config).await?, operations })
    }
}

async fn listen(config: &NodeConfig) -> Result<TcpListener> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        EngineError::new(
            Code::Config,
            format!(
                "cannot listen on {}: {}; is another node running there? (`listen` in the configuration)",
                config.listen,
                error.kind()
            ),
        )
        .caused_by(error)
    })
}

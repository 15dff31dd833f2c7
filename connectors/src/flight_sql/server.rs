//! One server as all sources over it share it: one connection, who we are, and what the server turned out not to do.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::once;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};

use super::account::{AUTHORIZATION, Pass, Passes, Welcome};
use super::config::{ServerConfig, Tls};
use super::fault::Asking;

/// How much of one answer may lie here that nobody has taken yet; and the largest message of an answer.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The largest window that HTTP/2 knows: an answer that nobody takes holds up no other one.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// After what silence the system probes a connection, and how long an answer may take before it counts as lost. (Probes of
/// HTTP/2 are not sent: many servers take them for an attack.)
const SILENCE: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

type Client = FlightServiceClient<Channel>;

/// A server that is asked.
pub(super) struct Server {
    config: ServerConfig,
    channel: Channel,
    passes: Passes,
    prepares: Ability,
    lists_tables: Ability,
    /// Statements being closed at the server; each ends within the request timeout.
    farewells: Mutex<JoinSet<()>>,
}

/// Something that a server does as long as it has not said otherwise.
#[derive(Debug)]
pub(super) struct Ability(AtomicBool);

impl Ability {
    pub(super) fn is_assumed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn deny(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Default for Ability {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Server {
    /// The server that sources with this configuration share; nothing is asked of it yet.
    ///
    /// # Errors
    /// If certificates or the key are not such.
    pub(super) fn shared(config: &ServerConfig) -> Result<Arc<Self>, tonic::transport::Error> {
        static SERVERS: Mutex<Vec<Weak<Server>>> = Mutex::new(Vec::new());
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| server.strong_count() > 0);
        if let Some(server) = servers.iter().filter_map(Weak::upgrade).find(|server| server.config == *config) {
            return Ok(server);
        }
        let server = Arc::new(Self::new(config.clone())?);
        servers.push(Arc::downgrade(&server));
        Ok(server)
    }

    fn new(config: ServerConfig) -> Result<Self, tonic::transport::Error> {
        Ok(Self {
            channel: endpoint(&config)?.connect_lazy(),
            passes: Passes::new(config.account.clone()),
            prepares: Ability::default(),
            lists_tables: Ability::default(),
            farewells: Mutex::default(),
            config,
        })
    }

    /// How it is reached.
    pub(super) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// The server as errors and logs name it.
    pub(super) fn shown(&self) -> String {
        format!("the Flight SQL server at {}", self.config.address)
    }

    /// Whether it prepares statements.
    pub(super) fn prepares(&self) -> &Ability {
        &self.prepares
    }

    /// Whether it lists its tables.
    pub(super) fn lists_tables(&self) -> &Ability {
        &self.lists_tables
    }

    /// What the server is asked for that holds no rows, from now on.
    pub(super) fn asking(&self, location: impl Into<String>) -> Asking {
        Asking::now(location, self.config.request_timeout)
    }

    /// Where the answer to a command is, or what it will be.
    pub(super) async fn flight_info(&self, asking: &Asking, command: Bytes) -> Result<FlightInfo, Status> {
        let descriptor = FlightDescriptor::new_cmd(command);
        let send = |mut client: Client, request| {
            async move { Ok(client.get_flight_info(request).await?.into_inner()) }.boxed()
        };
        self.call(asking, descriptor, send).await
    }

    /// The messages that a ticket stands for. They come for as long as `asking` allows.
    pub(super) async fn messages(&self, asking: &Asking, ticket: Ticket) -> Result<Streaming<FlightData>, Status> {
        let send = |mut client: Client, request| async move { Ok(client.do_get(request).await?.into_inner()) }.boxed();
        self.call(asking, ticket, send).await
    }

    /// Has the server do something; the first result is what it says of it.
    pub(super) async fn act(&self, asking: &Asking, action: Action) -> Result<Option<Bytes>, Status> {
        let send = |mut client: Client, request| {
            async move {
                let mut results = client.do_action(request).await?.into_inner();
                let first = results.message().await?.map(|result| result.body);
                while results.message().await?.is_some() {}
                Ok(first)
            }
            .boxed()
        };
        self.call(asking, action, send).await
    }

    /// Has the server do something for which nobody waits.
    pub(super) fn act_later(self: &Arc<Self>, action: Action) {
        // Without a runtime the server keeps what it has until it forgets by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let server = Arc::clone(self);
        let farewell = async move {
            let asking = server.asking(server.shown());
            if let Err(status) = server.act(&asking, action).await {
                tracing::debug!("a statement could not be closed at the server: {:?}", status.code());
            }
        };
        let mut farewells = self.farewells.lock().unwrap_or_else(PoisonError::into_inner);
        while farewells.try_join_next().is_some() {}
        farewells.spawn_on(farewell, &runtime);
    }

    /// One call, and another one with a new pass if the server no longer takes the one that we have.
    async fn call<M, A>(
        &self,
        asking: &Asking,
        message: M,
        send: impl Fn(Client, Request<M>) -> BoxFuture<'static, Result<A, Status>> + Send + Sync,
    ) -> Result<A, Status>
    where
        M: Clone + Send + Sync,
    {
        let (pass, number) = self.pass(asking, None).await?;
        let refused = match asking.within(send(self.client(), self.request(asking, message.clone(), pass))).await {
            Err(status) if status.code() == Code::Unauthenticated && self.passes.renews() => number,
            answer => return answer,
        };
        let (pass, _) = self.pass(asking, Some(refused)).await?;
        asking.within(send(self.client(), self.request(asking, message, pass))).await
    }

    async fn pass(&self, asking: &Asking, refused: Option<u64>) -> Result<(Pass, u64), Status> {
        asking.within(self.passes.pass(refused, |basic| self.handshake(asking, basic))).await
    }

    fn handshake(&self, asking: &Asking, basic: AsciiMetadataValue) -> impl Future<Output = Result<Welcome, Status>> {
        let mut client = self.client();
        let hello = once(async { HandshakeRequest::default() });
        let request = self.request(asking, hello, Some(basic));
        async move {
            let answer = client.handshake(request).await?;
            let (headers, mut answers, _) = answer.into_parts();
            let first = answers.message().await?;
            Ok(Welcome { headers, first })
        }
    }

    fn request<M>(&self, asking: &Asking, message: M, pass: Pass) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(asking.time_left());
        for (name, value) in &self.config.headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        if let Some(pass) = pass {
            request.metadata_mut().insert(AUTHORIZATION, pass);
        }
        request
    }

    fn client(&self) -> Client {
        FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Server({})", self.config.address)
    }
}

fn endpoint(config: &ServerConfig) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(config.address.http_url())?
        .user_agent("chancery")?
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(SILENCE))
        .tcp_keepalive_interval(Some(PROBE_INTERVAL))
        .tcp_keepalive_retries(Some(PROBES))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    match &config.tls {
        None => Ok(endpoint),
        Some(tls) => endpoint.tls_config(client_tls(tls).timeout(config.connect_timeout)),
    }
}

fn client_tls(tls: &Tls) -> ClientTlsConfig {
    let client = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
    match &tls.identity {
        None => client,
        Some(identity) => client.identity(Identity::from_pem(&identity.certificate, &identity.key)),
    }
}

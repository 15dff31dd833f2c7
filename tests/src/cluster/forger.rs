//! A site that sends what it likes: it stands before a real one, has its certificate, and alters the answers to statements.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use datafusion::common::runtime::SpawnedTask;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// What becomes of the messages of an answer: the schema, the batches, the trailer.
pub type Forgery = dyn Fn(Vec<FlightData>) -> Vec<FlightData> + Send + Sync;

/// Larger than what a coordinator takes, so that it is the one that refuses.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// A running forger; dropped, it is there no more.
pub struct Forger {
    address: String,
    forgery: Arc<Mutex<Arc<Forgery>>>,
    _serving: SpawnedTask<()>,
}

impl fmt::Debug for Forger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forger").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Forger {
    /// Stands before the site of that name, with certificates of the cluster at `root`; it alters nothing until it is told to.
    pub async fn open(root: &Path, site: &str, address: &str) -> Self {
        let pem = |name: String| fs::read(root.join("certs").join(name)).expect("a certificate of the cluster");
        let identity = |name: &str| Identity::from_pem(pem(format!("{name}.crt")), pem(format!("{name}.key")));
        let authority = || Certificate::from_pem(pem("authority.crt".to_string()));
        let as_coordinator =
            ClientTlsConfig::new().domain_name(site).ca_certificate(authority()).identity(identity("coordinator"));
        let channel = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(as_coordinator))
            .expect("an address")
            .connect_lazy();
        let as_site = ServerTlsConfig::new().identity(identity(site)).client_ca_root(authority());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let forgery: Arc<Mutex<Arc<Forgery>>> = Arc::new(Mutex::new(Arc::new(|messages| messages)));
        let service = FlightServiceServer::new(Between { channel, forgery: Arc::clone(&forgery) })
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let serving = SpawnedTask::spawn(async move {
            let served = Server::builder().tls_config(as_site).expect("certificates").add_service(service);
            served.serve_with_incoming(TcpIncoming::from(listener)).await.expect("a forger serves");
        });
        Self { address, forgery, _serving: serving }
    }

    /// Where the coordinator reaches it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on answers are altered so.
    pub fn set(&self, forgery: impl Fn(Vec<FlightData>) -> Vec<FlightData> + Send + Sync + 'static) {
        *self.forgery.lock().expect("nobody panics with it") = Arc::new(forgery);
    }
}

struct Between {
    channel: Channel,
    forgery: Arc<Mutex<Arc<Forgery>>>,
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Between {
    fn site(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

fn not_asked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no coordinator asks this of a site"))
}

#[tonic::async_trait]
impl FlightService for Between {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let messages = self.site().do_get(request).await?.into_inner().try_collect().await?;
        let forgery = Arc::clone(&self.forgery.lock().expect("nobody panics with it"));
        let forged = forgery(messages).into_iter().map(Ok);
        Ok(Response::new(stream::iter(forged).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Ok(self.site().do_action(request).await?.map(StreamExt::boxed))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        not_asked()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        not_asked()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        not_asked()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        not_asked()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        not_asked()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        not_asked()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        not_asked()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        not_asked()
    }
}

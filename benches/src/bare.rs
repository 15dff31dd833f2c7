//! What a federation is compared with where it passes rows on: a bare Flight SQL site that has each answer ready, and a bare
//! relay before it, which decodes and encodes every batch. No SQL is read for an answer, and nobody is asked who they are.
//!
//! ```text
//! client ── GetFlightInfo ──► relay          (it knows the columns, as a coordinator knows them from its snapshots)
//!        ── DoGet ──────────► relay ── DoGet ──► site
//! ```

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use harness::dataset::{Dataset, local_context};
use harness::namespace::Namespace;
use harness::oracle::{Answer, local_answer};
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// The same as a coordinator asks its sites for.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// The certificate of a node of a cluster, and whom it believes.
#[derive(Debug, Clone, clap::Args)]
pub struct Credentials {
    /// The directory of the cluster's certificates.
    #[arg(long)]
    certificates: PathBuf,
    /// The node whose certificate is shown.
    #[arg(long)]
    node: String,
    /// Serves without TLS.
    #[arg(long)]
    plain: bool,
}

impl Credentials {
    fn pem(&self, name: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.certificates.join(name)).map_err(|error| format!("{name}: {error}"))
    }

    fn identity(&self) -> Result<Identity, String> {
        Ok(Identity::from_pem(self.pem(&format!("{}.crt", self.node))?, self.pem(&format!("{}.key", self.node))?))
    }

    fn authority(&self) -> Result<Certificate, String> {
        Ok(Certificate::from_pem(self.pem("authority.crt")?))
    }
}

/// Is a site that answers each statement with the rows that DataFusion finds for it when it is first asked; does not end.
///
/// # Errors
/// When a table or a certificate cannot be read, or the address is taken.
pub async fn site(dataset: &Dataset, listen: SocketAddr, credentials: &Credentials) -> Result<(), String> {
    let context = local_context(dataset).await.map_err(|error| error.to_string())?;
    serve(Rows::OfSite { context, ready: Mutex::default() }, listen, credentials).await
}

/// Is a relay before the site of that name and address; does not end.
///
/// # Errors
/// When a certificate cannot be read, or the address is none or taken.
pub async fn relay((name, address): (&str, &str), listen: SocketAddr, credentials: &Credentials) -> Result<(), String> {
    let told = |error: tonic::transport::Error| format!("{address}: {error}");
    let tls = ClientTlsConfig::new().domain_name(name).ca_certificate(credentials.authority()?);
    let site = Endpoint::from_shared(format!("https://{address}"))
        .map_err(told)?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tls_config(tls.identity(credentials.identity()?))
        .map_err(told)?
        .connect_lazy();
    serve(Rows::OfRelay { site, columns: Mutex::default() }, listen, credentials).await
}

async fn serve(rows: Rows, listen: SocketAddr, credentials: &Credentials) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let listener = TcpListener::bind(listen).await.map_err(|error| told(&error))?;
    let address = listener.local_addr().map_err(|error| told(&error))?;
    let mut server = Server::builder();
    if !credentials.plain {
        let tls = ServerTlsConfig::new().identity(credentials.identity()?).client_ca_root(credentials.authority()?);
        server = server.tls_config(tls.client_auth_optional(true)).map_err(|error| told(&error))?;
    }
    let service = FlightServiceServer::new(Bare(Arc::new(rows)));
    println!("{address}");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    server.add_service(service).serve_with_incoming(incoming).await.map_err(|error| told(&error))
}

/// Where rows come from.
enum Rows {
    OfSite { context: SessionContext, ready: Mutex<HashMap<String, Arc<Answer>>> },
    OfRelay { site: Channel, columns: Mutex<HashMap<String, SchemaRef>> },
}

type Batches = BoxStream<'static, Result<datafusion::arrow::record_batch::RecordBatch, FlightError>>;

impl Rows {
    async fn columns(&self, sql: &str) -> Result<SchemaRef, Status> {
        match self {
            Self::OfSite { context, ready } => Ok(Arc::clone(&answer(context, ready, sql).await?.schema)),
            Self::OfRelay { site, columns } => {
                let known = columns.lock().map_err(poisoned)?.get(sql).map(Arc::clone);
                if let Some(known) = known {
                    return Ok(known);
                }
                let info = client(site).execute(sql.to_string(), None).await.map_err(status)?;
                let told = Arc::new(info.try_decode_schema().map_err(|error| Status::internal(error.to_string()))?);
                columns.lock().map_err(poisoned)?.insert(sql.to_string(), Arc::clone(&told));
                Ok(told)
            }
        }
    }

    async fn batches(&self, sql: &str) -> Result<Batches, Status> {
        match self {
            Self::OfSite { context, ready } => {
                let batches = answer(context, ready, sql).await?.batches.clone();
                Ok(stream::iter(batches.into_iter().map(Ok)).boxed())
            }
            Self::OfRelay { site, .. } => Ok(client(site).do_get(ticket(sql)).await.map_err(status)?.boxed()),
        }
    }
}

fn client(site: &Channel) -> FlightSqlServiceClient<Channel> {
    FlightSqlServiceClient::new(site.clone())
}

async fn answer(
    context: &SessionContext,
    ready: &Mutex<HashMap<String, Arc<Answer>>>,
    sql: &str,
) -> Result<Arc<Answer>, Status> {
    let known = ready.lock().map_err(poisoned)?.get(sql).map(Arc::clone);
    if let Some(known) = known {
        return Ok(known);
    }
    let made = local_answer(context, sql).await.map_err(|error| Status::internal(error.to_string()))?;
    let made = Arc::new(made);
    ready.lock().map_err(poisoned)?.insert(sql.to_string(), Arc::clone(&made));
    Ok(made)
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> Status {
    Status::internal("a call has failed before")
}

fn status(error: FlightError) -> Status {
    Status::from(error)
}

fn ticket(sql: &str) -> Ticket {
    let handle = TicketStatementQuery { statement_handle: sql.to_string().into() };
    Ticket { ticket: handle.as_any().encode_to_vec().into() }
}

/// The statement that bytes are, without the comment that makes its text another one each time.
fn statement(bytes: &[u8]) -> Result<&str, Status> {
    let text = std::str::from_utf8(bytes).map_err(|_| Status::invalid_argument("a statement is text"))?;
    Ok(text.split("--").next().unwrap_or_default().trim_end())
}

/// Flight SQL over rows that are there.
#[derive(Clone)]
struct Bare(Arc<Rows>);

impl Bare {
    async fn info(&self, sql: &str, descriptor: FlightDescriptor) -> Result<Response<FlightInfo>, Status> {
        let columns = self.0.columns(sql).await?;
        let info = FlightInfo::new().try_with_schema(&columns).map_err(|error| Status::internal(error.to_string()))?;
        let endpoint = FlightEndpoint::new().with_ticket(ticket(sql));
        Ok(Response::new(info.with_descriptor(descriptor).with_endpoint(endpoint)))
    }
}

#[tonic::async_trait]
impl FlightSqlService for Bare {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        Ok(Response::new(stream::iter([Ok(HandshakeResponse::default())]).boxed()))
    }

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(statement(command.query.as_bytes())?, request.into_inner()).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(statement(&command.prepared_statement_handle)?, request.into_inner()).await
    }

    async fn do_get_statement(
        &self,
        command: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let sql = statement(&command.statement_handle)?;
        let (columns, batches) = (self.0.columns(sql).await?, self.0.batches(sql).await?);
        let messages = FlightDataEncoderBuilder::new().with_schema(columns).build(batches);
        Ok(Response::new(messages.map_err(Status::from).boxed()))
    }

    async fn do_action_create_prepared_statement(
        &self,
        command: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let prepared_statement_handle = command.query.into();
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, ..Default::default() })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// A bare site or relay as a process of its own; killed when dropped.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Serving {
    /// Starts this program with these arguments, which make it one, and waits until it says where it listens.
    ///
    /// # Errors
    /// When it ends before.
    pub fn start(arguments: &[&str], namespace: Option<&Namespace>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = namespace.map_or_else(|| Command::new(&program), |namespace| namespace.command(&program));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let line = child.stdout.take().and_then(|output| BufReader::new(output).lines().next());
        match line {
            Some(Ok(address)) => Ok(Self { child, address }),
            _ => Err(format!("`{}` ended before it served", arguments.join(" "))),
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The arguments that are [`Credentials`].
pub fn credentials(certificates: &Path, node: &str, plain: bool) -> Vec<String> {
    let mut arguments = vec!["--certificates".to_string(), certificates.display().to_string()];
    arguments.extend(["--node".to_string(), node.to_string()]);
    arguments.extend(plain.then(|| "--plain".to_string()));
    arguments
}

//! What may stand between a Flight client and a real server: it passes every call on, and answers some of them otherwise, as
//! servers and proxies do that are made less well.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetTables, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use datafusion::common::runtime::SpawnedTask;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http_body::{Body as HttpBody, Frame};
use prost::Message;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::{Channel, Endpoint, Server, ServerTlsConfig, server::TcpIncoming};
use tonic::{Request, Response, Status, Streaming};
use tower::layer::layer_fn;

/// How what a client sees differs from what the server says.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Methods that are not there, by the names of actions and commands: `CreatePreparedStatement`, `CommandGetTables`.
    pub lacks: BTreeSet<&'static str>,
    /// Statements with one of these words are not prepared.
    pub refuses: Vec<&'static str>,
    /// Where endpoints say that their rows are.
    pub locations: Vec<String>,
    /// In how many endpoints the rows of a statement come, each with some of them; 0 is the server's own.
    pub endpoints: usize,
    /// Prepared statements do not tell their columns, nor do tables, nor do answers before their rows.
    pub tells_no_columns: bool,
    /// The first so many calls but those to sign in are told that nobody is believed.
    pub disbelieves: usize,
    /// After so many messages an answer ends: as if it were whole, but without the trailers that say so.
    pub ends_after: Option<usize>,
    /// Every answer begins with this message in the place of its own columns.
    pub first_message: Option<FlightData>,
}

/// A running proxy; dropped, it is there no more.
#[derive(Debug)]
pub struct FlightProxy {
    address: String,
    seen: Arc<Seen>,
    _serving: SpawnedTask<()>,
}

/// What has come.
#[derive(Debug, Default)]
struct Seen {
    calls: AtomicUsize,
    /// Calls but those to sign in.
    admissions: AtomicUsize,
    /// Statements that were prepared and not closed.
    open: AtomicUsize,
    /// How callers have said who they are, but for those who were signing in.
    authorizations: Mutex<Vec<String>>,
    /// Answers that are given part by part, by the server's tickets.
    answers: tokio::sync::Mutex<HashMap<bytes::Bytes, Vec<FlightData>>>,
}

impl FlightProxy {
    /// Listens in front of `server`.
    pub async fn open(server: &str, changes: Changes) -> Self {
        Self::serve(server, changes, None).await
    }

    /// The same, with TLS of its own.
    pub async fn open_over_tls(server: &str, tls: ServerTlsConfig) -> Self {
        Self::serve(server, Changes::default(), Some(tls)).await
    }

    async fn serve(server: &str, changes: Changes, tls: Option<ServerTlsConfig>) -> Self {
        let channel = Endpoint::from_shared(format!("http://{server}")).expect("an address").connect_lazy();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::<Seen>::default();
        let ends_after = changes.ends_after;
        let proxy = Proxy { channel, changes: Arc::new(changes), seen: Arc::clone(&seen) };
        let service = FlightServiceServer::new(proxy);
        let serving = SpawnedTask::spawn(async move {
            let builder = match tls {
                None => Server::builder(),
                Some(tls) => Server::builder().tls_config(tls).expect("certificates"),
            };
            let served = builder
                .layer(layer_fn(move |inner| Shortened { inner, ends_after }))
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener));
            served.await.expect("a proxy serves");
        });
        Self { address, seen, _serving: serving }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many calls have come.
    pub fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::SeqCst)
    }

    /// How each call but those to sign in has said who asks.
    pub fn authorizations(&self) -> Vec<String> {
        self.seen.authorizations.lock().expect("nobody panics with it").clone()
    }

    /// How many statements are prepared at the server and not closed.
    pub fn open_statements(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }
}

struct Proxy {
    channel: Channel,
    changes: Arc<Changes>,
    seen: Arc<Seen>,
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Proxy {
    fn server(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    /// Takes note of a call, and lets it through unless nobody is believed.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let mut seen = self.seen.authorizations.lock().expect("nobody panics with it");
        seen.extend(shown.map(str::to_string));
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        if self.seen.admissions.fetch_add(1, Ordering::SeqCst) < self.changes.disbelieves {
            return Err(Status::unauthenticated("SECRET: nobody is believed"));
        }
        Ok(())
    }

    fn check_is_there(&self, name: &str) -> Result<(), Status> {
        match self.changes.lacks.iter().any(|lacking| name.ends_with(lacking)) {
            true => Err(Status::unimplemented(format!("SECRET: there is no {name}"))),
            false => Ok(()),
        }
    }

    fn check_is_taken(&self, action: &Action) -> Result<(), Status> {
        let asked = Any::decode(action.body.clone()).ok();
        let asked = asked.and_then(|any| any.unpack::<ActionCreatePreparedStatementRequest>().ok().flatten());
        let text = asked.map(|asked| asked.query).unwrap_or_default();
        match self.changes.refuses.iter().find(|word| text.contains(**word)) {
            Some(word) => Err(Status::internal(format!("SECRET: {word} is not known here: {text}"))),
            None => Ok(()),
        }
    }

    fn changed(&self, mut info: FlightInfo, command: &str) -> FlightInfo {
        let location = |uri: &String| arrow_flight::Location { uri: uri.clone() };
        for endpoint in &mut info.endpoint {
            endpoint.location.extend(self.changes.locations.iter().map(location));
        }
        if self.changes.endpoints > 0 && command.contains("Statement") {
            let parts =
                |endpoint: FlightEndpoint| (0..self.changes.endpoints).map(move |part| part_of(&endpoint, part));
            info.endpoint = info.endpoint.into_iter().flat_map(parts).collect();
        }
        if self.changes.tells_no_columns {
            info.schema.clear();
        }
        info
    }

    /// The columns, and every so many-th of the other messages that a ticket of the server stands for.
    async fn part(&self, ticket: Ticket, part: usize) -> Result<Vec<FlightData>, Status> {
        let mut answers = self.seen.answers.lock().await;
        if !answers.contains_key(&ticket.ticket) {
            let messages: Vec<_> = self.server().do_get(ticket.clone()).await?.into_inner().try_collect().await?;
            answers.insert(ticket.ticket.clone(), messages);
        }
        let messages = answers[&ticket.ticket].iter().enumerate();
        let is_of_the_part = |number: usize| number == 0 || number % self.changes.endpoints == part;
        Ok(messages.filter(|(number, _)| is_of_the_part(*number)).map(|(_, message)| message.clone()).collect())
    }

    /// What a result of an action is for a client from whom columns are kept.
    fn result(&self, result: arrow_flight::Result) -> arrow_flight::Result {
        let created = Any::decode(result.body.clone()).ok();
        let created = created.and_then(|any| any.unpack::<ActionCreatePreparedStatementResult>().ok().flatten());
        match created {
            Some(created) if self.changes.tells_no_columns => {
                let silent = ActionCreatePreparedStatementResult { dataset_schema: bytes::Bytes::new(), ..created };
                arrow_flight::Result { body: silent.as_any().encode_to_vec().into() }
            }
            _ => result,
        }
    }
}

#[tonic::async_trait]
impl FlightService for Proxy {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        self.check_is_there("Handshake")?;
        let (metadata, _, _) = request.into_parts();
        let mut passed = Request::new(stream::iter([HandshakeRequest::default()]));
        *passed.metadata_mut() = metadata;
        Ok(self.server().handshake(passed).await?.map(StreamExt::boxed))
    }

    async fn get_flight_info(&self, mut request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.admit(&request)?;
        let command = Any::decode(request.get_ref().cmd.clone()).map_err(|_| Status::invalid_argument("no command"))?;
        self.check_is_there(&command.type_url)?;
        if self.changes.tells_no_columns
            && let Ok(Some(tables)) = command.unpack::<CommandGetTables>()
        {
            request.get_mut().cmd =
                CommandGetTables { include_schema: false, ..tables }.as_any().encode_to_vec().into();
        }
        Ok(self.server().get_flight_info(request).await?.map(|info| self.changed(info, &command.type_url)))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.admit(&request)?;
        if let Some((ticket, part)) = whole_of(request.get_ref()) {
            let messages = self.part(ticket, part).await?;
            return Ok(Response::new(stream::iter(messages.into_iter().map(Ok)).boxed()));
        }
        let messages = self.server().do_get(request).await?.into_inner();
        let first = self.changes.first_message.clone();
        let (skipped, first) = (usize::from(first.is_some()), stream::iter(first.map(Ok)));
        Ok(Response::new(first.chain(messages.skip(skipped)).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.admit(&request)?;
        let name = request.get_ref().r#type.clone();
        self.check_is_there(&name)?;
        self.check_is_taken(request.get_ref())?;
        let results: Vec<_> = self.server().do_action(request).await?.into_inner().collect().await;
        match name.as_str() {
            "CreatePreparedStatement" if results.iter().all(Result::is_ok) => {
                self.seen.open.fetch_add(1, Ordering::SeqCst);
            }
            "ClosePreparedStatement" => {
                self.seen.open.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        let results: Vec<_> = results.into_iter().map(|result| result.map(|result| self.result(result))).collect();
        Ok(Response::new(stream::iter(results).boxed()))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Ok(self.server().list_flights(request).await?.map(StreamExt::boxed))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.server().poll_flight_info(request).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.server().get_schema(request).await
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented("nothing is put through here"))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("nothing is exchanged through here"))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(self.server().list_actions(request).await?.map(StreamExt::boxed))
    }
}

/// What a ticket for a part begins with, before the number of the part.
const PART: &[u8] = b"part ";

fn part_of(endpoint: &FlightEndpoint, part: usize) -> FlightEndpoint {
    let whole = endpoint.ticket.clone().unwrap_or_default();
    let number = u8::try_from(part).expect("a few parts");
    let ticket = [PART, &[number], whole.ticket.as_ref()].concat();
    FlightEndpoint { ticket: Some(Ticket { ticket: ticket.into() }), ..endpoint.clone() }
}

/// The server's ticket, and the part that is asked for.
fn whole_of(ticket: &Ticket) -> Option<(Ticket, usize)> {
    let (number, whole) = ticket.ticket.strip_prefix(PART)?.split_first()?;
    Some((Ticket { ticket: whole.to_vec().into() }, usize::from(*number)))
}

/// Cuts the answers to DoGet short.
#[derive(Debug, Clone)]
struct Shortened<S> {
    inner: S,
    ends_after: Option<usize>,
}

impl<S> tower::Service<http::Request<Body>> for Shortened<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let ends_after = self.ends_after.filter(|_| request.uri().path().ends_with("/DoGet"));
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answer = answering.await?;
            Ok(match ends_after {
                None => answer,
                Some(frames) => answer.map(|body| Body::new(ShortBody { body, frames })),
            })
        })
    }
}

/// A body of so many frames, which ends without trailers.
struct ShortBody {
    body: Body,
    frames: usize,
}

impl HttpBody for ShortBody {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if self.frames == 0 {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            if frame.is_trailers() {
                return Poll::Ready(None);
            }
            self.frames -= 1;
        }
        frame
    }
}

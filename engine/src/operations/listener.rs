//! The listener: `/livez`, `/readyz` and `/metrics` over plain HTTP/1.1, for few readers at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Observed;
use super::metrics::Metrics;
use crate::error::{Code, EngineError, Result};
use crate::session::watchdog::Threads;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// How long a reader may take to say what it wants.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection is kept, whatever it is used for.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);
/// After how long a listener that cannot accept tries again.
const RETRY: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A listener that answers for as long as this lives.
#[derive(Debug)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    _task: SpawnedTask<()>,
}

/// Takes the address of a listener, which answers nothing yet.
///
/// # Errors
/// `CONFIG` when it cannot listen there.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence =
            format!("cannot listen on {address}: {} (`operations.listen` in the configuration)", error.kind());
        EngineError::new(Code::Config, sentence).caused_by(error)
    })
}

/// Answers there what is asked of a node.
///
/// # Errors
/// When the system does not know the address any more.
pub fn listen(listener: TcpListener, node: Observed) -> Result<Listener> {
    let address = listener.local_addr().map_err(EngineError::internal)?;
    tracing::info!(node = node.name, %address, "operations are told");
    let told = Arc::new(Answers { metrics: Metrics::of(node.clone()), node });
    Ok(Listener { address, _task: SpawnedTask::spawn(accept(listener, told)) })
}

async fn accept(listener: TcpListener, told: Arc<Answers>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let told = Arc::clone(&told);
                connections.spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION_WITHIN, serve(stream, told)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("the operations listener cannot accept: {error}");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, told: Arc<Answers>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let told = Arc::clone(&told);
        async move { Ok::<_, Infallible>(told.answer(request.method(), request.uri().path()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a reader of the operations listener has gone: {error}");
    }
}

/// What is answered.
#[derive(Debug)]
struct Answers {
    node: Observed,
    metrics: Metrics,
}

impl Answers {
    async fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(path, "/livez" | "/readyz" | "/metrics") {
            return response(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n");
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "it can be read and nothing else\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/metrics" => match self.metrics.told() {
                Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
                Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the numbers cannot be told\n"),
            },
            "/readyz" => self.ready().await,
            _ => response(StatusCode::OK, TEXT, "alive\n"),
        }
    }

    async fn ready(&self) -> Response<Full<Bytes>> {
        let mut readiness = self.node.door.readiness().await;
        if Threads::now().are_all_held() {
            readiness.ready = false;
            readiness.faults.push("every thread on which statements run is held by one that does not give way");
        }
        let stopping = self.node.turns.is_closed();
        let ready = readiness.ready && !stopping;
        let told = json!({
            "node": self.node.name,
            "ready": ready,
            "stopping": stopping,
            readiness.of: readiness.parts,
            "faults": readiness.faults,
        });
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        response(status, JSON, format!("{told}\n"))
    }
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

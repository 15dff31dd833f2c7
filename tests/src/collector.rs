//! A collector of spans, as OpenTelemetry's own: it takes OTLP over gRPC, over TLS by a certificate of its own, and keeps what
//! comes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datafusion::common::runtime::SpawnedTask;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// A span, and the node that sent it.
#[derive(Debug, Clone)]
pub struct Collected {
    /// `service.instance.id` of the sender.
    pub node: String,
    /// The span as it came.
    pub span: Span,
}

impl Collected {
    /// What the span says of itself; numbers as text.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        attributes(&self.span.attributes)
    }
}

fn attributes(told: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    told.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

/// A collector that is connected to and says nothing.
#[derive(Debug)]
pub struct Silent {
    listener: TcpListener,
    certificate: String,
    key: String,
}

impl Silent {
    /// Starts one.
    pub async fn listen() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_string()]).expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address to listen on");
        Self { listener, certificate: cert.pem(), key: signing_key.serialize_pem() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// Its certificate, PEM, which it has signed itself, for `localhost`.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// From now on it takes what comes, over TLS if wished.
    pub fn speak(self, tls: bool) -> Collector {
        let address = self.address();
        let Self { listener, certificate, key } = self;
        let spans: Arc<Mutex<Vec<Collected>>> = Arc::default();
        let mut server = Server::builder();
        if tls {
            let identity = Identity::from_pem(&certificate, key);
            server =
                server.tls_config(ServerTlsConfig::new().identity(identity)).expect("a certificate that can be used");
        }
        let router = server.add_service(TraceServiceServer::new(Service(Arc::clone(&spans))));
        let serving = SpawnedTask::spawn(async move {
            router.serve_with_incoming(TcpIncoming::from(listener)).await.expect("a server that serves");
        });
        Collector { address, certificate, spans, _serving: serving }
    }
}

/// A running collector; dropped, it is there no more.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    certificate: String,
    spans: Arc<Mutex<Vec<Collected>>>,
    _serving: SpawnedTask<()>,
}

impl Collector {
    /// Starts one, over TLS if wished.
    pub async fn start(tls: bool) -> Self {
        Silent::listen().await.speak(tls)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate, PEM, which it has signed itself, for `localhost`.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Collected> {
        self.spans.lock().expect("no panic").clone()
    }

    /// What has come once it is `enough`.
    ///
    /// # Panics
    /// When it is not within half a minute.
    pub async fn once(&self, enough: impl Fn(&[Collected]) -> bool) -> Vec<Collected> {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "not enough: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[derive(Debug)]
struct Service(Arc<Mutex<Vec<Collected>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for from_one in request.into_inner().resource_spans {
            let resource = attributes(&from_one.resource.unwrap_or_default().attributes);
            assert_eq!(resource["service.name"], "chancery");
            let node = &resource["service.instance.id"];
            let spans = from_one.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().expect("no panic").extend(spans.map(|span| Collected { node: node.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

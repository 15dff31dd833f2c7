//! The spans of statements, sent to a collector by OTLP over gRPC: one of each statement that has ended here, and one of each
//! fragment that was sent for it, under the identities that the header `traceparent` has told everybody.
//!
//! A collector that is slow or gone holds up nobody: what does not find room in the queue is not sent. No span
//! has a text of a statement, a value, or who asked: the log, which has the same trace, tells that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Exporter, SpanProcessor,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::config::TracesConfig;
use crate::error::{Code, EngineError, Result};
use crate::session::queries::{Ends, LedgerEntry, Progress, QueryRecord};
use crate::session::trace::TraceContext;

/// How long a collector has for each step: to be connected, to shake hands, to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of a node waits for its last spans to be taken.
pub(crate) const LAST_SPANS: Duration = Duration::from_secs(5);
/// Spans that wait; later ones are lost.
const WAITING_MAX: usize = 2_048;
/// Spans that go at once, as soon as they have come together.
const SENT_AT_ONCE: usize = 512;
/// How long fewer wait.
const SENT_EVERY: Duration = Duration::from_secs(5);

/// Where the spans of one node go.
#[derive(Debug)]
pub struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Traces {
    /// Sends the spans of that node to the collector, from within a runtime. Nobody is asked yet.
    ///
    /// # Errors
    /// `CONFIG` for a collector of which no client can be made.
    pub fn of(node: &str, config: &TracesConfig) -> Result<Self> {
        let mut exporter = exporter(config).map_err(|error| {
            EngineError::new(Code::Config, "no client for the collector of `[traces]` can be made").caused_by(error)
        })?;
        let version = env!("CARGO_PKG_VERSION");
        let names = [
            KeyValue::new("service.name", "chancery"),
            KeyValue::new("service.instance.id", node.to_string()),
            KeyValue::new("service.version", version),
        ];
        exporter.set_resource(&Resource::builder().with_attributes(names).build());
        let exporter = Telling {
            exporter: Arc::new(exporter),
            runtime: Handle::current(),
            is_failing: AtomicBool::new(false),
            endpoint: config.endpoint.to_string(),
        };
        let scope = InstrumentationScope::builder("chancery").with_version(version).build();
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(SENT_AT_ONCE)
            .with_scheduled_delay(SENT_EVERY)
            .build();
        Ok(Self { processor: BatchSpanProcessor::new(exporter, batches), scope })
    }

    fn send(&self, told: Told, progress: &Progress, mut attributes: Vec<KeyValue>) {
        let Told { name, kind, trace, began, took } = told;
        let parent = trace.parent().unwrap_or_default();
        let status = match progress {
            Progress::Failed(code) => {
                attributes.push(KeyValue::new("error.type", code.name()));
                Status::Error { description: code.name().into() }
            }
            Progress::Running | Progress::Finished | Progress::Cancelled => Status::Unset,
        };
        attributes.push(KeyValue::new("db.system.name", "chancery"));
        attributes.push(KeyValue::new("chancery.outcome", progress.to_string()));
        let identity = SpanContext::new(
            TraceId::from(trace.trace()),
            SpanId::from(trace.span()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        self.processor.on_end(SpanData {
            span_context: identity,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: kind == SpanKind::Server && parent != 0,
            span_kind: kind,
            name: name.into(),
            start_time: began,
            end_time: began + took,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what is left, for [`LAST_SPANS`] at most. Nobody has to wait for it.
    pub(crate) async fn end(self: Arc<Self>) {
        let (told, ended) = oneshot::channel();
        let end = move || {
            let _ = told.send(self.processor.shutdown_with_timeout(LAST_SPANS));
        };
        // A thread of the runtime's would keep it from ending.
        if std::thread::Builder::new().name("last spans".to_string()).spawn(end).is_err() {
            return;
        }
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}

fn exporter(config: &TracesConfig) -> std::result::Result<SpanExporter, Box<dyn std::error::Error + Send + Sync>> {
    let mut collector =
        Endpoint::from_shared(config.endpoint.to_string())?.connect_timeout(ANSWERED_WITHIN).timeout(ANSWERED_WITHIN);
    if let Some(authority) = &config.authority {
        let trusted = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        collector = collector.tls_config(trusted.timeout(ANSWERED_WITHIN))?;
    }
    let exporter = SpanExporter::builder().with_tonic().with_channel(collector.connect_lazy());
    Ok(exporter.with_timeout(ANSWERED_WITHIN).build()?)
}

impl Ends for Traces {
    fn ended(&self, record: &QueryRecord) {
        // One that nobody keeps is not sent.
        let Some(trace) = record.trace().filter(TraceContext::is_sampled) else { return };
        for entry in record.ledger() {
            let Some(trace) = entry.trace else { continue };
            let began = record.started_at + entry.sent_after(record);
            let told = Told { name: "fragment", kind: SpanKind::Client, trace, began, took: entry.elapsed() };
            self.send(told, &entry.progress(), of_fragment(&entry));
        }
        let (began, took) = (record.started_at, record.elapsed());
        let told = Told { name: "statement", kind: SpanKind::Server, trace, began, took };
        self.send(told, &record.progress(), of_statement(record));
    }
}

/// A span, but for what it says.
struct Told {
    name: &'static str,
    kind: SpanKind,
    trace: TraceContext,
    began: SystemTime,
    took: Duration,
}

fn of_statement(record: &QueryRecord) -> Vec<KeyValue> {
    vec![
        KeyValue::new("chancery.query_id", record.id.as_str().to_string()),
        KeyValue::new("chancery.rows", count(record.rows())),
        KeyValue::new("chancery.bytes", count(record.bytes())),
    ]
}

fn of_fragment(entry: &LedgerEntry) -> Vec<KeyValue> {
    let mut told = vec![
        KeyValue::new("chancery.site", entry.site.to_string()),
        KeyValue::new("chancery.fragment", count(entry.number as u64)),
        KeyValue::new("chancery.rows", count(entry.rows())),
        KeyValue::new("chancery.bytes_sent", count(entry.bytes_sent.load(Ordering::Relaxed))),
        KeyValue::new("chancery.bytes_received", count(entry.bytes_received.load(Ordering::Relaxed))),
    ];
    if let Some(first) = entry.first_row() {
        told.push(KeyValue::new("chancery.first_row_ms", first.as_secs_f64() * 1_000.0));
    }
    told
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The exporter, whose failures the log tells: once, and again after it has worked.
#[derive(Debug)]
struct Telling {
    exporter: Arc<SpanExporter>,
    /// The exporter's calls are made here: the processor's own thread has no timers.
    runtime: Handle,
    is_failing: AtomicBool,
    endpoint: String,
}

impl Exporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let exported = self.runtime.spawn(async move { exporter.export(batch).await }).await;
        let exported = exported.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        let was_failing = self.is_failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !was_failing => {
                tracing::warn!(collector = self.endpoint, %error, "spans do not reach the collector and are lost");
            }
            Ok(()) if was_failing => tracing::warn!(collector = self.endpoint, "spans reach the collector again"),
            _ => {}
        }
        exported
    }
}

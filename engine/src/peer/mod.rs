//! The coordinator's side of a connection to a site: pooled, mutually authenticated, counted, and distrustful.

pub mod count;
pub mod stream;
pub mod trailer;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, Ticket};
use datafusion::physical_plan::SendableRecordBatchStream;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::timeout;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::catalog::site_table::SiteId;
use crate::catalog::view::{DIRECTORY_ACTION, Directory, VIEW_ACTION, View};
use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};
use crate::flight::guard::Guard;
use crate::flight::headers;
use crate::flight::status::from_site;
use crate::identity::tls::{Certified, NodeIdentity};
use crate::identity::{About, Asker};
use crate::key_set::KeysTo;
use crate::key_set::message::{FragmentTicket, KeySetMessage};
use crate::peer::count::{Counted, Counters};
use crate::peer::trailer::Digest;
use crate::session::queries::{LedgerEntry, QueryId};
use crate::session::trace::TraceContext;

/// The largest window that HTTP/2 knows.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// What a site may send in one frame: an answer of megabytes is some frames, not some hundreds.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// How a site is reached.
#[derive(Debug, Clone)]
pub struct SiteAddress {
    /// The site's name.
    pub site: SiteId,
    /// `https://host:port`.
    pub url: String,
    /// The name that its certificate must carry.
    pub tls_name: String,
    /// Our certificate, whom we believe, and on whose behalf we ask.
    pub identity: Arc<NodeIdentity>,
    /// What we ask the site to compress its batches with: `none`, `lz4` or `zstd`.
    pub compression: &'static str,
}

/// One site as a peer of the coordinator.
#[derive(Debug)]
pub struct SitePeer {
    site: SiteId,
    address: SiteAddress,
    link: Mutex<Arc<Link>>,
    compression: &'static str,
    limits: Arc<Limits>,
}

/// A connection, and the identity that it is made with: what is sent on it is signed by no other.
#[derive(Debug)]
struct Link {
    certified: Arc<Certified>,
    channel: Channel,
}

impl Link {
    fn new(address: &SiteAddress, limits: &Limits) -> Result<Self> {
        let certified = address.identity.current();
        let channel = certified.channel(&address.url, &address.tls_name, |endpoint| {
            endpoint
                .connect_timeout(Duration::from_millis(limits.connect_timeout_ms))
                .initial_stream_window_size(limits.stream_window_bytes)
                // The connection's own window is as good as none: a stream that nobody reads holds up no other one.
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES_MAX)
                .http2_keep_alive_interval(Duration::from_secs(limits.keepalive_interval_s))
                .keep_alive_while_idle(true)
        })?;
        Ok(Self { certified, channel })
    }
}

/// A statement for a site, and what identifies it.
#[derive(Debug, Clone)]
pub struct FragmentRequest {
    /// The query that it belongs to.
    pub query: QueryId,
    /// Its number within the query.
    pub number: usize,
    /// On whose behalf.
    pub asker: Arc<Asker>,
    /// The statement.
    pub statement: Arc<str>,
    /// The key sets that it names.
    pub key_sets: Vec<KeySetMessage>,
    /// Where values of its rows go afterwards.
    pub keys_to: Vec<KeysTo>,
    /// The versions of the tables it was planned with, by `source.table`.
    pub versions: Arc<BTreeMap<String, String>>,
    /// The columns it must answer with, by position.
    pub schema: SchemaRef,
    /// The trace that it belongs to, if any.
    pub trace: Option<TraceContext>,
    /// Time left for it.
    pub timeout: Option<Duration>,
}

/// How a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// It is there, and takes nothing new.
    Stopping,
    /// It does not answer, or is not the node that it should be.
    Unreachable,
}

impl Health {
    /// In a word.
    pub fn told(self) -> &'static str {
        match self {
            Health::Serving => "reachable",
            Health::Stopping => "stopping",
            Health::Unreachable => "unreachable",
        }
    }
}

impl SitePeer {
    /// A peer whose connection is made when it is first needed, and made again when it was lost.
    ///
    /// # Errors
    /// `CONFIG` for an address that is none.
    pub fn new(address: SiteAddress, limits: Arc<Limits>) -> Result<Self> {
        let link = Mutex::new(Arc::new(Link::new(&address, &limits)?));
        Ok(Self { site: address.site.clone(), compression: address.compression, address, link, limits })
    }

    /// The connection. When our certificate has been renewed it is another one, and what runs on the former goes on there.
    fn link(&self) -> Arc<Link> {
        let mut link = self.link.lock();
        if !Arc::ptr_eq(&link.certified, &self.address.identity.current()) {
            match Link::new(&self.address, &self.limits) {
                Ok(renewed) => *link = Arc::new(renewed),
                Err(error) => tracing::warn!(site = %self.site, %error, "the former certificate is shown on"),
            }
        }
        Arc::clone(&link)
    }

    /// The site's name.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// How the site is, by its own word; takes a few seconds at most.
    pub async fn health(&self) -> Health {
        const PATIENCE: Duration = Duration::from_secs(3);
        let asked = HealthCheckRequest { service: String::new() };
        let mut client = HealthClient::new(self.link().channel.clone());
        match timeout(PATIENCE, client.check(asked)).await {
            Ok(Ok(told)) if told.get_ref().status == ServingStatus::Serving as i32 => Health::Serving,
            Ok(Ok(_)) => Health::Stopping,
            Ok(Err(_)) | Err(_) => Health::Unreachable,
        }
    }

    /// What the asker may see of the site's tables, with statistics.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE`, `SITE_PROTOCOL`, or the site's own refusal.
    pub async fn view(&self, asker: &Arc<Asker>) -> Result<View> {
        let about = About { site: self.site.as_str(), query: &QueryId::random(), fragment: 0, statement: None };
        let (link, mut call) = (self.link(), action(VIEW_ACTION));
        delegate(call.metadata_mut(), &link, asker, &about)?;
        let view: View = self.fetch(&link, call).await?;
        self.expect_own_name(&view.site)?;
        Ok(view)
    }

    /// The tables that exist at the site.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE`, `SITE_PROTOCOL`.
    pub async fn directory(&self) -> Result<Directory> {
        let directory: Directory = self.fetch(&self.link(), action(DIRECTORY_ACTION)).await?;
        self.expect_own_name(&directory.site)?;
        Ok(directory)
    }

    fn expect_own_name(&self, name: &str) -> Result<()> {
        if name == self.site.as_str() {
            return Ok(());
        }
        Err(EngineError::new(
            Code::SiteProtocol,
            format!(
                "the node at the address of site {} says that it is another site; check the coordinator's configuration",
                self.site
            ),
        ))
    }

    async fn fetch<T: serde::de::DeserializeOwned>(&self, link: &Link, call: tonic::Request<Action>) -> Result<T> {
        let deadline = Duration::from_millis(self.limits.first_message_timeout_ms);
        timeout(deadline, self.fetch_unbounded(link, call)).await.map_err(|_| self.silent(deadline, "its catalog"))?
    }

    async fn fetch_unbounded<T: serde::de::DeserializeOwned>(
        &self,
        link: &Link,
        call: tonic::Request<Action>,
    ) -> Result<T> {
        let mut client =
            FlightServiceClient::new(link.channel.clone()).max_decoding_message_size(self.limits.message_bytes_max);
        let failed = |status| from_site(&self.site, "its catalog", status);
        let mut results = client.do_action(call).await.map_err(failed)?.into_inner();
        let result = results.message().await.map_err(failed)?.ok_or_else(|| {
            EngineError::new(
                Code::SiteProtocol,
                format!("site {} answered nothing when asked for its catalog", self.site),
            )
        })?;
        serde_json::from_slice(&result.body).map_err(|error| {
            EngineError::new(
                Code::SiteProtocol,
                format!("the catalog that site {} sent cannot be read; do both nodes run the same version?", self.site),
            )
            .caused_by(error)
        })
    }

    fn silent(&self, deadline: Duration, tables: &str) -> EngineError {
        EngineError::new(
            Code::SiteUnavailable,
            format!("site {} did not answer within {} ms (tables: {tables})", self.site, deadline.as_millis()),
        )
    }

    /// Sends a statement; the stream ends well only after the site's trailer agreed with what arrived.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE`, `SITE_PROTOCOL`, `STALE`, or the site's own refusal.
    ///
    /// # Cancellation
    /// Dropping the future or the stream resets the call; the site stops its work.
    pub async fn run(&self, request: FragmentRequest, entry: Arc<LedgerEntry>) -> Result<SendableRecordBatchStream> {
        let counters = Counters { sent: Arc::clone(&entry.bytes_sent), received: Arc::clone(&entry.bytes_received) };
        let link = self.link();
        let mut client = FlightServiceClient::new(Counted::new(link.channel.clone(), counters))
            .max_decoding_message_size(self.limits.message_bytes_max);
        let tables = table_list(&request.versions);
        let schema = Arc::clone(&request.schema);
        let digest = Digest::of(&request.query, request.number as u64, &request.statement);
        let call = self.call(&link, request)?;
        let deadline = Duration::from_millis(self.limits.first_message_timeout_ms);
        let messages = timeout(deadline, client.do_get(call))
            .await
            .map_err(|_| self.silent(deadline, &tables))?
            .map_err(|status| from_site(&self.site, &tables, status))?
            .into_inner();
        let border = stream::Border {
            site: self.site.clone(),
            tables,
            guard: Guard::new(schema.fields().len(), self.limits.decoded_batch_bytes_max),
            schema,
            idle: Duration::from_millis(self.limits.idle_timeout_ms),
            first: deadline,
        };
        Ok(stream::receive(messages, border, digest, entry))
    }

    fn call(&self, link: &Link, request: FragmentRequest) -> Result<tonic::Request<Ticket>> {
        let mut call = tonic::Request::new(Ticket { ticket: ticket(&request.statement, request.key_sets)?.into() });
        if let Some(timeout) = request.timeout {
            call.set_timeout(timeout);
        }
        let versions = serde_json::to_vec(request.versions.as_ref()).map_err(EngineError::internal)?;
        let about = About {
            site: self.site.as_str(),
            query: &request.query,
            fragment: request.number,
            statement: Some(&request.statement),
        };
        let metadata = call.metadata_mut();
        delegate(metadata, link, &request.asker, &about)?;
        if let Some(trace) = request.trace {
            metadata.insert(headers::TRACE, trace.to_string().parse().map_err(EngineError::internal)?);
        }
        metadata.insert(headers::TRAILER, MetadataValue::from_static("1"));
        metadata.insert(headers::COMPRESSION, MetadataValue::from_static(self.compression));
        metadata.insert_bin(headers::VERSIONS, MetadataValue::from_bytes(&versions));
        if !request.keys_to.is_empty() {
            let keys_to = serde_json::to_vec(&request.keys_to).map_err(EngineError::internal)?;
            metadata.insert_bin(headers::KEYS_TO, MetadataValue::from_bytes(&keys_to));
        }
        Ok(call)
    }
}

/// The headers by which a site believes on whose behalf it is asked.
fn delegate(metadata: &mut MetadataMap, link: &Link, asker: &Asker, about: &About<'_>) -> Result<()> {
    let delegation = link.certified.delegator.sign(asker, about)?;
    metadata.insert(headers::QUERY_ID, about.query.as_str().parse().map_err(EngineError::internal)?);
    metadata.insert(headers::FRAGMENT, about.fragment.into());
    metadata.insert_bin(headers::DELEGATION, MetadataValue::from_bytes(&delegation));
    Ok(())
}

/// The command as any Flight SQL server takes it; with key sets, a ticket of ours.
fn ticket(statement: &str, key_sets: Vec<KeySetMessage>) -> Result<Vec<u8>> {
    let query = statement.to_string();
    if key_sets.is_empty() {
        return Ok(CommandStatementQuery { query, transaction_id: None }.as_any().encode_to_vec());
    }
    Ok(FragmentTicket::new(query, key_sets)?.encode_ticket())
}

fn action(name: &str) -> tonic::Request<Action> {
    tonic::Request::new(Action { r#type: name.to_string(), body: bytes::Bytes::new() })
}

fn table_list(versions: &BTreeMap<String, String>) -> String {
    let names: Vec<&str> = versions.keys().map(String::as_str).collect();
    if names.is_empty() { "no table".to_string() } else { names.join(", ") }
}

/// The sites of a federation, by name.
#[derive(Debug, Default)]
pub struct Peers(HashMap<SiteId, Arc<SitePeer>>);

impl Peers {
    /// The peers at these addresses.
    ///
    /// # Errors
    /// `CONFIG` for an address that is none.
    pub fn new(addresses: Vec<SiteAddress>, limits: &Arc<Limits>) -> Result<Self> {
        addresses
            .into_iter()
            .map(|address| {
                let site = address.site.clone();
                SitePeer::new(address, Arc::clone(limits)).map(|peer| (site, Arc::new(peer)))
            })
            .collect::<Result<HashMap<_, _>>>()
            .map(Self)
    }

    /// The site of that name.
    pub fn get(&self, site: &SiteId) -> Option<&Arc<SitePeer>> {
        self.0.get(site)
    }

    /// Every site, in the order of names.
    pub fn all(&self) -> Vec<&Arc<SitePeer>> {
        let mut peers: Vec<_> = self.0.values().collect();
        peers.sort_by(|a, b| a.site.cmp(&b.site));
        peers
    }
}

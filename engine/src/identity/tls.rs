//! A node's certificates: the server's door, and the coordinator's side of a site's door.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codegen::http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::service_fn;

use super::certificate::RevokedSerials;
use super::delegation::Delegator;
use super::path_length::WithinPath;
use super::reread::Reread;
use crate::config::{TlsFiles, TlsMaterial};
use crate::error::{Code, EngineError, Result};

/// Makes ring the process's cryptography. Call it before the first connection; a second call does nothing.
pub fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // The only way to fail is that another thread was first, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// What a node's own door shows and believes, as its files say now: a certificate that is renewed counts from the next
/// connection on, and those that are open go on.
#[derive(Debug)]
pub struct ServerCertificates(Reread<ServerConfig>);

impl ServerCertificates {
    /// The certificates of these files.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be used.
    pub fn open(files: &TlsFiles) -> Result<Self> {
        install_crypto_provider();
        reread(files, server_config).map(Self)
    }

    /// As they are now.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.current()
    }
}

/// What a node shows to others, as its files say now: its certificate and key, and what it signs with that key.
#[derive(Debug)]
pub struct NodeIdentity(Reread<Certified>);

/// A certificate and what is signed with its key: both of one connection.
#[derive(Debug)]
pub struct Certified {
    client: Arc<ClientConfig>,
    /// Signs on whose behalf we ask; a site believes it of the certificate of the same connection.
    pub delegator: Delegator,
}

impl NodeIdentity {
    /// The identity in these files.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be used.
    pub fn open(files: &TlsFiles) -> Result<Self> {
        install_crypto_provider();
        reread(files, |material| {
            Ok(Certified { delegator: Delegator::new(material)?, client: Arc::new(client_config(material)?) })
        })
        .map(Self)
    }

    /// As it is now.
    pub fn current(&self) -> Arc<Certified> {
        self.0.current()
    }
}

impl Certified {
    /// A channel to the node at this `https://` address, which must carry the name `expected` in a certificate that is not
    /// revoked. It connects when it is first used.
    ///
    /// # Errors
    /// `CONFIG` for an address or a name that is none.
    pub fn channel(&self, url: &str, expected: &str, set: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel> {
        let wrong = |what: &str| EngineError::new(Code::Config, format!("`{what}` is no address of a node"));
        let name = ServerName::try_from(expected.to_string()).map_err(|_| wrong(expected))?;
        let origin: Uri = url.parse().map_err(|_| wrong(url))?;
        // tonic's own TLS knows no lists of revoked certificates, and takes `https` for its own.
        let plain = url.strip_prefix("https://").ok_or_else(|| wrong(url))?;
        let endpoint = Endpoint::from_shared(format!("http://{plain}")).map_err(|_| wrong(url))?.origin(origin);
        let connector = TlsConnector::from(Arc::clone(&self.client));
        Ok(set(endpoint).connect_with_connector_lazy(service_fn(move |at: Uri| {
            let (connector, name) = (connector.clone(), name.clone());
            async move {
                let stream = TcpStream::connect((at.host().unwrap_or_default(), at.port_u16().unwrap_or(443))).await?;
                stream.set_nodelay(true)?;
                let connected = connector.connect(name.clone(), stream).await;
                let connected = connected.inspect_err(|error| tracing::warn!(?name, %error, "a node is not believed"));
                connected.map(TokioIo::new)
            }
        })))
    }
}

/// The certificates that the authority has taken back, as its lists say now. They count for calls over connections that were
/// open before, too.
#[derive(Debug)]
pub struct Revoked(Reread<RevokedSerials>);

impl Revoked {
    /// What the lists of these files say.
    ///
    /// # Errors
    /// `CONFIG` for what cannot be used.
    pub fn open(files: &TlsFiles) -> Result<Self> {
        reread(files, |material| Ok(RevokedSerials::of(&material.revoked))).map(Self)
    }

    /// Whether one of these certificates is one of them.
    pub fn has_any(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let revoked = self.0.current();
        certificates.iter().any(|certificate| revoked.has(certificate))
    }
}

/// What is made of the files, made again when they change.
fn reread<T: 'static>(
    files: &TlsFiles,
    make: impl Fn(&TlsMaterial) -> Result<T> + Send + Sync + 'static,
) -> Result<Reread<T>> {
    let files = files.clone();
    let named = [&files.certificate, &files.key, &files.authority].into_iter().chain(&files.revoked);
    let paths = named.cloned().collect();
    Reread::of(paths, move || {
        let material = TlsMaterial::load(&files).map_err(|faults| {
            let told: Vec<_> = faults.into_iter().map(|(key, message)| format!("`tls.{key}`: {message}")).collect();
            EngineError::new(Code::Config, told.join("; "))
        })?;
        let made = make(&material)?;
        tracing::info!(names = material.names.join(", "), "the certificate is read");
        Ok(made)
    })
}

/// The server's side. Users come without a certificate; who shows one must have it from our authority. Whether it was taken back
/// since is looked up with each call, see [`Revoked`].
fn server_config(material: &TlsMaterial) -> Result<ServerConfig> {
    let (trusted, roots) = authorities(material)?;
    let clients = WebPkiClientVerifier::builder(roots).allow_unauthenticated().build().map_err(unusable)?;
    let (chain, key) = own(material)?;
    let config = ServerConfig::builder().with_client_cert_verifier(Arc::new(WithinPath::new(trusted, clients)));
    let mut config = config.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

/// The side of a node that calls another one. Of an authority without a list nothing is revoked.
fn client_config(material: &TlsMaterial) -> Result<ClientConfig> {
    let (trusted, roots) = authorities(material)?;
    let servers: Arc<dyn ServerCertVerifier> = WebPkiServerVerifier::builder(roots)
        .with_crls(material.revoked.iter().cloned())
        .allow_unknown_revocation_status()
        .build()
        .map_err(unusable)?;
    let (chain, key) = own(material)?;
    let servers = Arc::new(WithinPath::new(trusted, servers));
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(servers);
    let mut config = config.with_client_auth_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

/// Whom the node trusts.
fn authorities(material: &TlsMaterial) -> Result<(Vec<CertificateDer<'static>>, Arc<RootCertStore>)> {
    let trusted = CertificateDer::pem_slice_iter(material.authority_pem.as_bytes());
    let trusted = trusted.collect::<Result<Vec<_>, pem::Error>>().map_err(unusable)?;
    let mut roots = RootCertStore::empty();
    for authority in &trusted {
        roots.add(authority.clone()).map_err(unusable)?;
    }
    Ok((trusted, Arc::new(roots)))
}

/// The node's chain and key.
fn own(material: &TlsMaterial) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_slice_iter(material.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, pem::Error>>().map_err(unusable)?;
    // The parser's own message is left out: it may repeat bytes of the key.
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes()).map_err(|_| unusable("the key"))?;
    Ok((chain, key))
}

fn unusable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::new(Code::Config, "the node's certificate, key or authority cannot be used").caused_by(cause)
}

/// The side of a user, who has the authority's certificate (PEM) and no own.
pub fn user_tls(authority_pem: &str) -> ClientTlsConfig {
    install_crypto_provider();
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority_pem))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;

    use datafusion::common::runtime::SpawnedTask;
    use parking_lot::Mutex;
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::Server;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::super::certificate::peer_names;
    use super::super::{certs, handshakes};
    use super::*;
    use crate::config::Limits;

    fn files(directory: &Path, node: &str) -> TlsFiles {
        let [certificate, key] = ["crt", "key"].map(|kind| directory.join(format!("{node}.{kind}")));
        TlsFiles { certificate, key, authority: directory.join("authority.crt"), revoked: None }
    }

    fn material(directory: &Path, node: &str) -> TlsMaterial {
        certs::init(directory, &[node.parse().unwrap()]).unwrap();
        TlsMaterial::load(&files(directory, node)).unwrap()
    }

    /// A node behind TLS that notes by which names its callers could be believed.
    struct Node {
        address: SocketAddr,
        seen: Arc<Mutex<Vec<Vec<String>>>>,
        _serving: SpawnedTask<()>,
    }

    impl Node {
        async fn start(material: &TlsMaterial) -> Self {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let notes = Arc::clone(&seen);
            let (_, health) = tonic_health::server::health_reporter();
            let service = InterceptedService::new(health, move |request: tonic::Request<()>| {
                let certificates = request.peer_certs().map(|chain| chain.to_vec()).unwrap_or_default();
                notes.lock().push(peer_names(&certificates));
                Ok(request)
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let certificates = ServerCertificates::open(&material.files).unwrap();
            let incoming = handshakes::incoming(listener, certificates, &Limits::default());
            let serving = SpawnedTask::spawn(async move {
                Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
            });
            Self { address, seen, _serving: serving }
        }

        fn url(&self) -> String {
            format!("https://localhost:{}", self.address.port())
        }

        async fn call(&self, channel: Channel) -> Result<(), tonic::Status> {
            HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await.map(|_| ())
        }

        /// As another node would, which expects this one to carry the name.
        async fn call_as(&self, caller: &TlsMaterial, expected: &str) -> Result<(), tonic::Status> {
            let certified = Certified {
                client: Arc::new(client_config(caller).unwrap()),
                delegator: Delegator::new(caller).unwrap(),
            };
            self.call(certified.channel(&self.url(), expected, |endpoint| endpoint).unwrap()).await
        }
    }

    #[tokio::test]
    async fn a_node_knows_a_peer_by_name_and_lets_users_in_without_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let site = material(directory.path(), "bts");
        let node = Node::start(&site).await;
        node.call_as(&material(directory.path(), "coordinator"), "bts").await.unwrap();
        let user = Endpoint::from_shared(node.url()).unwrap().tls_config(user_tls(&site.authority_pem)).unwrap();
        node.call(user.connect_lazy()).await.unwrap();
        assert_eq!(*node.seen.lock(), [vec!["coordinator".to_string()], Vec::new()]);
    }

    #[tokio::test]
    async fn a_site_with_another_name_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::start(&material(directory.path(), "faa")).await;
        node.call_as(&material(directory.path(), "coordinator"), "bts").await.unwrap_err();
        assert!(node.seen.lock().is_empty());
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_is_refused_on_both_sides() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let site = material(ours.path(), "bts");
        let node = Node::start(&site).await;
        let foreign = material(theirs.path(), "coordinator");
        node.call_as(&foreign, "bts").await.unwrap_err();
        let pretender = TlsMaterial { authority_pem: site.authority_pem.clone(), ..foreign };
        node.call_as(&pretender, "bts").await.unwrap_err();
        assert!(node.seen.lock().is_empty());
    }
}

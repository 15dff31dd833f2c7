//! A node's certificates towards tonic: the server's door, and the coordinator's side of a site's door.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::delegation::Delegator;
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
    material: TlsMaterial,
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
        reread(files, |material| Ok(Certified { delegator: Delegator::new(material)?, material: material.clone() }))
            .map(Self)
    }

    /// As it is now.
    pub fn current(&self) -> Arc<Certified> {
        self.0.current()
    }
}

impl Certified {
    /// How to call a node that must carry the name `expected`.
    pub fn client_tls(&self, expected: &str) -> ClientTlsConfig {
        peer_tls(&self.material, expected)
    }
}

/// What is made of the files, made again when they change.
fn reread<T: 'static>(
    files: &TlsFiles,
    make: impl Fn(&TlsMaterial) -> Result<T> + Send + Sync + 'static,
) -> Result<Reread<T>> {
    let files = files.clone();
    let paths = vec![files.certificate.clone(), files.key.clone(), files.authority.clone()];
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

/// The server's side. Users come without a certificate; who shows one must have it from our authority.
fn server_config(material: &TlsMaterial) -> Result<ServerConfig> {
    let unusable = "the node's certificate, key or authority cannot be used";
    let failed = |error: rustls::Error| EngineError::new(Code::Config, unusable).caused_by(error);
    let unreadable = |error: pem::Error| EngineError::new(Code::Config, unusable).caused_by(error);
    let certificates = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let mut authorities = RootCertStore::empty();
    for authority in certificates(&material.authority_pem).map_err(unreadable)? {
        authorities.add(authority).map_err(failed)?;
    }
    let clients = WebPkiClientVerifier::builder(Arc::new(authorities)).allow_unauthenticated().build();
    let clients = clients.map_err(|error| EngineError::new(Code::Config, unusable).caused_by(error))?;
    let chain = certificates(&material.certificate_pem).map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes())
        .map_err(|_| EngineError::new(Code::Config, unusable))?;
    let mut config =
        ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key).map_err(failed)?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

/// The side of a node that calls another one, which must carry the name `expected`.
pub fn peer_tls(material: &TlsMaterial, expected: &str) -> ClientTlsConfig {
    install_crypto_provider();
    ClientTlsConfig::new()
        .domain_name(expected)
        .ca_certificate(Certificate::from_pem(&material.authority_pem))
        .identity(Identity::from_pem(&material.certificate_pem, &material.key_pem))
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
    use tonic::transport::{Endpoint, Server};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::super::certificate::peer_names;
    use super::super::{certs, handshakes};
    use super::*;
    use crate::config::Limits;

    fn files(directory: &Path, node: &str) -> TlsFiles {
        let [certificate, key] = ["crt", "key"].map(|kind| directory.join(format!("{node}.{kind}")));
        TlsFiles { certificate, key, authority: directory.join("authority.crt") }
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

        async fn call(&self, tls: ClientTlsConfig) -> Result<(), Box<dyn std::error::Error>> {
            let url = format!("https://localhost:{}", self.address.port());
            let channel = Endpoint::from_shared(url)?.tls_config(tls)?.connect().await?;
            HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_node_knows_a_peer_by_name_and_lets_users_in_without_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let site = material(directory.path(), "bts");
        let node = Node::start(&site).await;
        node.call(peer_tls(&material(directory.path(), "coordinator"), "bts")).await.unwrap();
        node.call(user_tls(&site.authority_pem)).await.unwrap();
        assert_eq!(*node.seen.lock(), [vec!["coordinator".to_string()], Vec::new()]);
    }

    #[tokio::test]
    async fn a_site_with_another_name_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::start(&material(directory.path(), "faa")).await;
        node.call(peer_tls(&material(directory.path(), "coordinator"), "bts")).await.unwrap_err();
        assert!(node.seen.lock().is_empty());
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_is_refused_on_both_sides() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let site = material(ours.path(), "bts");
        let node = Node::start(&site).await;
        let foreign = material(theirs.path(), "coordinator");
        node.call(peer_tls(&foreign, "bts")).await.unwrap_err();
        let pretender = TlsMaterial { authority_pem: site.authority_pem.clone(), ..foreign };
        node.call(peer_tls(&pretender, "bts")).await.unwrap_err();
        assert!(node.seen.lock().is_empty());
    }
}

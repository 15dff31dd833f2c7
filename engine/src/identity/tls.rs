//! A node's certificates towards tonic: the server's door, and the coordinator's side of a site's door.

use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::config::{Limits, TlsMaterial};

/// Makes ring the process's cryptography. Call it before the first connection; a second call does nothing.
pub fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // The only way to fail is that another thread was first, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The server's side. Users come without a certificate; who shows one must have it from our authority.
pub fn server_tls(material: &TlsMaterial, limits: &Limits) -> ServerTlsConfig {
    install_crypto_provider();
    ServerTlsConfig::new()
        .identity(Identity::from_pem(&material.certificate_pem, &material.key_pem))
        .client_ca_root(Certificate::from_pem(&material.authority_pem))
        .client_auth_optional(true)
        .timeout(Duration::from_millis(limits.handshake_timeout_ms))
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
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::{Endpoint, Server};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::super::certificate::peer_names;
    use super::super::certs;
    use super::*;

    fn material(directory: &Path, node: &str) -> TlsMaterial {
        certs::init(directory, &[node.parse().unwrap()]).unwrap();
        let read = |name: String| std::fs::read_to_string(directory.join(name)).unwrap();
        TlsMaterial {
            certificate_pem: read(format!("{node}.crt")),
            key_pem: read(format!("{node}.key")),
            authority_pem: read("authority.crt".to_string()),
            names: vec![node.to_string()],
        }
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
            let mut server = Server::builder().tls_config(server_tls(material, &Limits::default())).unwrap();
            let serving = SpawnedTask::spawn(async move {
                server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
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

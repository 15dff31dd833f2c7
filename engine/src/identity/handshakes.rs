//! The connections of a door over TLS: each makes its handshake by itself, so that whoever is slow holds up nobody else, and with
//! the certificate that the node has then. So many that say nothing close the door to nobody: the oldest of them is dropped.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::{Stream, stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::ServerCertificates;
use crate::config::Limits;

/// How long nothing is accepted after that failed: the process has too many files open, and some will be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Connections = mpsc::Sender<io::Result<TlsStream<TcpStream>>>;

/// The connections, as they come out of their handshakes. Those that fail are in the log.
pub fn incoming(
    listener: TcpListener,
    certificates: ServerCertificates,
    limits: &Limits,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + use<> {
    let (sender, receiver) = mpsc::channel(1);
    let (most, patience) = (limits.handshakes_max, Duration::from_millis(limits.handshake_timeout_ms));
    let accepting = SpawnedTask::spawn(accept(listener, certificates, (most, patience), sender));
    stream::unfold((receiver, accepting), |(mut receiver, accepting)| async move {
        let connection = receiver.recv().await?;
        Some((connection, (receiver, accepting)))
    })
}

async fn accept(
    listener: TcpListener,
    certificates: ServerCertificates,
    (most, patience): (usize, Duration),
    connections: Connections,
) {
    let mut handshakes = JoinSet::new();
    // In the order in which they began.
    let mut under_way = VecDeque::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.closed() => return,
        };
        match stream {
            Ok((stream, _)) => {
                while handshakes.try_join_next().is_some() {}
                make_room(&mut under_way, most);
                let acceptor = TlsAcceptor::from(certificates.current());
                let connections = connections.clone();
                under_way.push_back(handshakes.spawn(async move {
                    if let Some(connection) = shake_hands(acceptor, stream, patience).await {
                        // Nobody serves any more.
                        let _ = connections.send(Ok(connection)).await;
                    }
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// For one more: those that have ended are no longer counted, and if none has, whoever has taken longest is dropped.
fn make_room(under_way: &mut VecDeque<AbortHandle>, most: usize) {
    if under_way.len() >= most {
        under_way.retain(|handshake| !handshake.is_finished());
    }
    while under_way.len() >= most {
        let Some(oldest) = under_way.pop_front() else { return };
        tracing::debug!("a TLS handshake is dropped for a new one: as many as may are under way (`handshakes_max`)");
        oldest.abort();
    }
}

async fn shake_hands(acceptor: TlsAcceptor, stream: TcpStream, patience: Duration) -> Option<TlsStream<TcpStream>> {
    // Without this the end of an answer waits for the client's acknowledgement of what came before, which takes it 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection is gone");
        return None;
    }
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::super::certs;
    use super::*;
    use crate::config::tls::TlsFiles;

    #[tokio::test]
    async fn however_many_say_nothing_whoever_comes_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let made = certs::init(directory.path(), &["node".parse().unwrap()]).unwrap();
        let files = TlsFiles {
            certificate: made[1].certificate.clone(),
            key: made[1].key.clone(),
            authority: made[0].certificate.clone(),
            revoked: None,
        };
        let certificates = ServerCertificates::open(&files).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits { handshakes_max: 4, handshake_timeout_ms: 600_000, ..Limits::default() };
        let mut connections = Box::pin(incoming(listener, certificates, &limits));
        let mut silent = Vec::new();
        for _ in 0..10 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut authorities = RootCertStore::empty();
        authorities.add(CertificateDer::from_pem_file(&files.authority).unwrap()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(authorities).with_no_client_auth();
        let client = TlsConnector::from(Arc::new(client));
        let stream = TcpStream::connect(address).await.unwrap();
        let (connected, served) =
            tokio::join!(client.connect(ServerName::try_from("node").unwrap(), stream), connections.next());
        connected.unwrap();
        served.unwrap().unwrap();
    }
}

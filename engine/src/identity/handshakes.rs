//! The connections of a door over TLS: each makes its handshake by itself, so that whoever is slow holds up nobody else, and with
//! the certificate that the node has then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::{Stream, stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
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
    let places = Arc::new(Semaphore::new(most));
    let mut handshakes = JoinSet::new();
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while handshakes.try_join_next().is_some() {}
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.closed() => return,
        };
        match stream {
            Ok((stream, _)) => {
                let acceptor = TlsAcceptor::from(certificates.current());
                let connections = connections.clone();
                handshakes.spawn(async move {
                    if let Some(connection) = shake_hands(acceptor, stream, patience).await {
                        // Nobody serves any more.
                        let _ = connections.send(Ok(connection)).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
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

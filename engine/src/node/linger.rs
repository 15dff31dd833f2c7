//! Connections that are closed so that nothing of what was sent is lost.
//!
//! A socket that is closed while bytes of its peer are unread is reset, and what the kernel had still to send is thrown away. A
//! client of HTTP/2 says all the while how much it has read: without this, the end of an answer would be lost whenever a node
//! closes a connection by itself (it is told to stop, or the connection has its age) and the client, or the road to it, is slow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::transport::server::Connected;

/// How long a peer that says nothing is waited for.
const SILENCE: Duration = Duration::from_secs(5);
/// How long it is waited for at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose end waits, after the last byte was written, until the peer has read it and closed its side too.
#[derive(Debug)]
pub(super) struct Lingering<IO> {
    io: IO,
    silence: Duration,
    patience: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    timer: Pin<Box<Sleep>>,
    last: Instant,
}

impl<IO> Lingering<IO> {
    /// The same connection, which is closed with care.
    pub(super) fn new(io: IO) -> Self {
        Self { io, silence: SILENCE, patience: PATIENCE, waiting: None }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, silence, patience, waiting } = &mut *self;
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => {
                ready!(Pin::new(&mut *io).poll_shutdown(context))?;
                let now = Instant::now();
                waiting.insert(Waiting { timer: Box::pin(sleep_until(now + *silence)), last: now + *patience })
            }
        };
        let mut unread = [0; 4_096];
        loop {
            let mut unread = ReadBuf::new(&mut unread);
            match Pin::new(&mut *io).poll_read(context, &mut unread) {
                Poll::Ready(Ok(())) if unread.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => waiting.timer.as_mut().reset((Instant::now() + *silence).min(waiting.last)),
                // The peer is gone, or has reset the connection: there is nobody to wait for.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
            if Instant::now() >= waiting.last {
                return Poll::Ready(Ok(()));
            }
        }
        waiting.timer.as_mut().poll(context).map(Ok)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Lingering<IO> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<IO: Connected> Connected for Lingering<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const ANSWER: usize = 1 << 20;

    /// What a client gets that says something of its own while it reads nothing yet.
    async fn read_late(careful: bool) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Most of it lies at the server when that closes.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"I have read a part").await.unwrap();
        server.readable().await.unwrap();
        let serving = SpawnedTask::spawn(async move {
            if careful {
                let mut server = Lingering::new(server);
                server.write_all(&vec![7; ANSWER]).await.unwrap();
                server.shutdown().await.unwrap();
            } else {
                server.write_all(&vec![7; ANSWER]).await.unwrap();
                server.shutdown().await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer).await;
        drop(client);
        serving.join().await.unwrap();
        read.map(|_| answer.len())
    }

    #[tokio::test]
    async fn the_end_of_an_answer_is_not_lost() {
        assert_eq!(read_late(true).await.unwrap(), ANSWER);
        assert!(read_late(false).await.is_err(), "without care it is lost");
    }

    #[tokio::test]
    async fn a_peer_that_never_closes_is_not_waited_for_long() {
        let hasty = |io| Lingering { silence: Duration::from_millis(50), ..Lingering::new(io) };
        let (node, silent) = tokio::io::duplex(64);
        hasty(node).shutdown().await.unwrap();
        drop(silent);
        let (node, mut talking) = tokio::io::duplex(64);
        let talk = SpawnedTask::spawn(async move {
            while talking.write_all(b"and another thing").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut node = Lingering { patience: Duration::from_millis(500), ..hasty(node) };
        node.shutdown().await.unwrap();
        drop(node);
        talk.join().await.unwrap();
    }
}

//! Counts the gRPC message bytes of one call in both directions, below any decoding and above TLS.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Buf;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// Where the bytes of a call are added up.
#[derive(Debug, Clone)]
pub struct Counters {
    /// Bytes of requests.
    pub sent: Arc<AtomicU64>,
    /// Bytes of responses.
    pub received: Arc<AtomicU64>,
}

/// A channel whose calls are counted.
#[derive(Debug, Clone)]
pub struct Counted {
    channel: Channel,
    counters: Counters,
}

impl Counted {
    /// Counts the calls made through `channel` by this clone.
    pub fn new(channel: Channel, counters: Counters) -> Self {
        Self { channel, counters }
    }
}

impl Service<http::Request<Body>> for Counted {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sent = Arc::clone(&self.counters.sent);
        let received = Arc::clone(&self.counters.received);
        let request = request.map(|body| Body::new(CountedBody { body, bytes: sent }));
        self.channel
            .call(request)
            .map_ok(move |response| response.map(|body| Body::new(CountedBody { body, bytes: received })))
            .boxed()
    }
}

struct CountedBody {
    body: Body,
    bytes: Arc<AtomicU64>,
}

impl HttpBody for CountedBody {
    type Data = bytes::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes.fetch_add(data.remaining() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! What is kept of an answer for a reader who has not come for it, and how it is let go.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use arrow_flight::FlightData;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use prost::Message;
use tonic::Status;

use crate::flight::status::to_status;
use crate::session::queries::{QueryRecord, Stop};

/// The messages of an answer.
type Sent = BoxStream<'static, Result<FlightData, Status>>;

/// Messages that are kept for their reader. Their query notices when they are taken; when it is over and they are not, they are
/// let go, with all that the query holds, and the reason alone is kept.
pub(super) struct Kept {
    messages: Arc<Mutex<Option<Sent>>>,
    record: Arc<QueryRecord>,
    told: bool,
}

/// Calls the reader when there is something for them, and has the query notice that they are called.
struct Called {
    record: Weak<QueryRecord>,
    reader: Waker,
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        if let Some(record) = self.record.upgrade() {
            record.reader_is_called();
        }
        self.reader.wake_by_ref();
    }
}

impl Kept {
    pub(super) fn new(messages: Sent, record: Arc<QueryRecord>) -> Self {
        let messages = Arc::new(Mutex::new(Some(messages)));
        let (kept, of) = (Arc::downgrade(&messages), Arc::downgrade(&record));
        record.keep_until_over(move || {
            let Some((kept, record)) = kept.upgrade().zip(of.upgrade()) else { return };
            // Whoever holds the lock takes the next message, and whoever waits is called: both find the reason there.
            let let_go = kept.try_lock().filter(|_| record.is_untaken()).and_then(|mut messages| messages.take());
            drop(let_go);
        });
        Self { messages, record, told: false }
    }
}

impl Stream for Kept {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { messages, record, told } = &mut *self;
        let called = Called { record: Arc::downgrade(record), reader: context.waker().clone() };
        let called = Waker::from(Arc::new(called));
        let mut messages = messages.lock();
        record.reader_waits();
        let message = match messages.as_mut() {
            Some(messages) => ready!(messages.poll_next_unpin(&mut Context::from_waker(&called))),
            None if *told => None,
            None => {
                *told = true;
                let over = record.go_on().err().unwrap_or_else(|| Stop::Unread.error());
                Some(Err(to_status(&over, Some(&record.id))))
            }
        };
        let bytes = message.as_ref().and_then(|message| message.as_ref().ok()).map_or(0, Message::encoded_len);
        record.reader_has(bytes);
        Poll::Ready(message)
    }
}

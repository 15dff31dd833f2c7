//! What is kept of an answer for a reader who has not come for it, and how it is let go.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use arrow_flight::FlightData;
use futures::stream::{BoxStream, Fuse};
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
pub struct Kept {
    messages: Arc<Mutex<Option<Messages>>>,
    record: Arc<QueryRecord>,
    told: bool,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("query", &self.record.id).finish_non_exhaustive()
    }
}

/// Those that have been made, and those to come.
struct Messages {
    made: VecDeque<Result<FlightData, Status>>,
    rest: Fuse<Sent>,
}

/// The description of the columns, and the first rows.
const FIRST_MESSAGES: usize = 2;

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
        let messages = Messages { made: VecDeque::new(), rest: messages.fuse() };
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

    /// Waits for the first rows. The head of an answer, its columns and few rows are one packet then, and whoever reads them is
    /// woken once.
    pub async fn rows(&self) {
        poll_fn(|context| self.poll_rows(context)).await;
    }

    fn poll_rows(&self, context: &mut Context<'_>) -> Poll<()> {
        let called = self.called(context);
        let mut messages = self.messages.lock();
        self.record.reader_waits();
        if let Some(Messages { made, rest }) = messages.as_mut() {
            while made.len() < FIRST_MESSAGES {
                match ready!(rest.poll_next_unpin(&mut Context::from_waker(&called))) {
                    Some(message) => made.push_back(message),
                    None => break,
                }
            }
        }
        self.record.reader_is_called();
        Poll::Ready(())
    }

    fn called(&self, context: &Context<'_>) -> Waker {
        Waker::from(Arc::new(Called { record: Arc::downgrade(&self.record), reader: context.waker().clone() }))
    }
}

impl Stream for Kept {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let called = self.called(context);
        let Self { messages, record, told } = &mut *self;
        let mut messages = messages.lock();
        record.reader_waits();
        // What was made may lie here for a while; whether it may still leave is asked when it does.
        if messages.as_ref().is_some_and(|kept| !kept.made.is_empty()) && record.has_lost_its_right() {
            *messages = None;
        }
        let message = match messages.as_mut() {
            Some(Messages { made, rest }) => match made.pop_front() {
                Some(message) => Some(message),
                None => ready!(rest.poll_next_unpin(&mut Context::from_waker(&called))),
            },
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

//! What a server saw of a request, and how much it answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Body;

/// One request.
#[derive(Debug, Clone)]
pub struct Note {
    /// The method.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// All that was sent about it.
    pub headers: HeaderMap,
    /// The status of the answer; 0 while there is none.
    pub status: u16,
    sent: Arc<AtomicU64>,
}

impl Note {
    /// Bytes of the answer's body that were sent.
    pub fn bytes(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Whether it asked for a part of a file.
    pub fn is_read(&self) -> bool {
        self.method == "GET" && self.headers.contains_key("range")
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    pub(super) fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock().expect("no panic while it is held"))
    }

    pub(super) fn begin(&self, request: &Request<Incoming>) -> Begun {
        let sent = Arc::new(AtomicU64::new(0));
        let note = Note {
            method: request.method().to_string(),
            path: request.uri().path().to_string(),
            query: request.uri().query().unwrap_or_default().to_string(),
            headers: request.headers().clone(),
            status: 0,
            sent: Arc::clone(&sent),
        };
        self.0.lock().expect("no panic while it is held").push(note);
        Begun { notes: Arc::clone(&self.0), sent }
    }
}

/// A request that is not yet answered.
pub(super) struct Begun {
    notes: Arc<Mutex<Vec<Note>>>,
    sent: Arc<AtomicU64>,
}

impl Begun {
    /// The answer, of which every byte is counted when it is sent.
    pub(super) fn end(self, answer: Response<Body>) -> Response<Body> {
        let mut notes = self.notes.lock().expect("no panic while it is held");
        if let Some(note) = notes.iter_mut().find(|note| Arc::ptr_eq(&note.sent, &self.sent)) {
            note.status = answer.status().as_u16();
        }
        let sent = self.sent;
        answer.map(|body| {
            let counted = body.map_frame(move |frame| {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                sent.fetch_add(bytes as u64, Ordering::SeqCst);
                frame
            });
            counted.boxed_unsync()
        })
    }
}

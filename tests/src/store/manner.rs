//! How a server behaves beside what it is: what it cannot do, and what goes wrong.

use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};

use super::Body;

/// What happens before a request is answered.
type Deed = Box<dyn FnMut() + Send>;

/// How a server behaves. The default is a good server in the clear.
#[derive(Default)]
pub struct Manner {
    /// It speaks TLS.
    pub over_tls: bool,
    /// It heeds no condition, and lists no tags: as `s3s-fs` is by itself.
    pub ignores_conditions: bool,
    /// It gives files as a whole only.
    pub ignores_ranges: bool,
    /// It lists no directory.
    pub lists_nothing: bool,
    /// Of a part of a file it sends so many bytes more than it says.
    pub sends_more: usize,
    /// Headers that it does not send.
    pub hides: Vec<&'static str>,
    /// The next requests are answered so, one each, and not looked at.
    pub canned: Mutex<Vec<(StatusCode, &'static str, &'static str)>>,
    /// Before the request of this number that asks for a part of this file, counted from 0, this is done.
    pub deed: Mutex<Option<(&'static str, usize, Deed)>>,
}

impl fmt::Debug for Manner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Manner")
    }
}

impl Manner {
    /// Answers the next `times` requests with this status, header `location` and body.
    pub fn answer(&self, times: usize, status: StatusCode, location: &'static str, body: &'static str) {
        let mut canned = self.canned.lock().expect("no panic while it is held");
        canned.extend(std::iter::repeat_n((status, location, body), times));
    }

    /// Forgets answers that are still to be given.
    pub fn answer_truly(&self) {
        self.canned.lock().expect("no panic while it is held").clear();
    }

    /// Does `deed` before the read number `read` of a file whose path ends with `file`.
    pub fn before_read(&self, file: &'static str, read: usize, deed: impl FnMut() + Send + 'static) {
        *self.deed.lock().expect("no panic while it is held") = Some((file, read, Box::new(deed)));
    }

    pub(super) fn before(&self, request: &mut Request<Incoming>) -> Option<Response<Body>> {
        let mut canned = self.canned.lock().expect("no panic while it is held");
        if !canned.is_empty() {
            let (status, location, body) = canned.remove(0);
            return Some(said(status, location, body));
        }
        if self.lists_nothing && request.method().as_str() == "PROPFIND" {
            return Some(said(StatusCode::METHOD_NOT_ALLOWED, "", "<html>no</html>"));
        }
        self.do_deed(request);
        // A signature is of all headers, and `s3s-fs` looks at no condition anyway.
        if self.ignores_conditions && !request.headers().contains_key("authorization") {
            request.headers_mut().remove("if-match");
            request.headers_mut().remove("if-unmodified-since");
        }
        if self.ignores_ranges {
            request.headers_mut().remove("range");
        }
        None
    }

    pub(super) fn after(&self, is_listing: bool, mut answer: Response<Body>) -> Response<Body> {
        for header in self.hides.iter().filter(|_| !is_listing) {
            answer.headers_mut().remove(*header);
        }
        if self.sends_more > 0 && answer.status() == StatusCode::PARTIAL_CONTENT {
            return self.with_more(answer);
        }
        answer
    }

    /// The range that it names stays what it was; the length that frames the body is that of all that is sent.
    fn with_more(&self, mut answer: Response<Body>) -> Response<Body> {
        const PIECE: usize = 64 << 10;
        let said =
            answer.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let said = said.expect("a length");
        answer.headers_mut().insert("content-length", (said + self.sends_more).into());
        let pieces = std::iter::repeat_n(PIECE, self.sends_more / PIECE).chain([self.sends_more % PIECE]);
        let more = stream::iter(pieces.map(|length| Ok(Frame::data(Bytes::from(vec![b'\n'; length])))));
        answer.map(|body| StreamBody::new(BodyStream::new(body).chain(more)).boxed_unsync())
    }

    fn do_deed(&self, request: &Request<Incoming>) {
        let mut deed = self.deed.lock().expect("no panic while it is held");
        let Some((file, read, action)) = deed.as_mut() else { return };
        if !request.headers().contains_key("range") || !request.uri().path().ends_with(*file) {
            return;
        }
        if *read == 0 {
            action();
            *deed = None;
        } else {
            *read -= 1;
        }
    }
}

fn said(status: StatusCode, location: &str, body: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if !location.is_empty() {
        answer.headers_mut().insert("location", location.parse().expect("a header's value"));
    }
    answer
}

//! What a call brings with it: who it is from, and what peers say in headers. Headers of others are ignored.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::Extensions;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::error::{Code, EngineError, Result};
use crate::flight::headers;
use crate::identity::{Asker, Authenticator, Came, SessionId, Subject};
use crate::session::queries::QueryId;

/// Lets callers in.
#[derive(Debug)]
pub struct Access {
    authenticator: Authenticator,
}

/// A caller that was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who asks.
    pub asker: Arc<Asker>,
    session: Option<SessionId>,
}

impl Access {
    /// Lets in those whom `authenticator` believes.
    pub fn new(authenticator: Authenticator) -> Arc<Self> {
        Arc::new(Self { authenticator })
    }

    /// Who makes this call.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BUSY`.
    pub async fn caller(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Caller> {
        let certificates =
            extensions.get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs).unwrap_or_default();
        let caller = self.authenticator.caller(authorization(headers)?, &certificates).await?;
        let asker = if caller.subject.is_peer() {
            Asker::peer(&caller.subject.name)
        } else {
            let Subject { name, roles, .. } = caller.subject;
            Asker::user(policy::subject::Subject { name, roles, ..Default::default() })
        };
        Ok(Caller { asker: Arc::new(asker), session: caller.session })
    }

    /// The handshake: the token of a session.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BUSY`.
    pub async fn handshake(&self, headers: &MetadataMap) -> Result<String> {
        let header = authorization(headers)?.ok_or_else(|| {
            EngineError::new(Code::Unauthenticated, "log in with a user name and a password (`authorization: Basic …`)")
        })?;
        self.authenticator.handshake(header).await
    }

    /// Ends the session that the caller's token opened, if it has one.
    pub fn close_session(&self, caller: &Caller) {
        if let Some(session) = caller.session {
            self.authenticator.close(session);
        }
    }
}

/// The one `authorization` header, if there is one.
fn authorization(headers: &MetadataMap) -> Result<Option<&str>> {
    let refused = |sentence| EngineError::new(Code::Unauthenticated, sentence);
    let mut values = headers.get_all("authorization").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("the call has more than one `authorization` header"));
    }
    value.to_str().map(Some).map_err(|_| refused("the `authorization` header is not text"))
}

impl Caller {
    /// The query that a peer says its call belongs to.
    pub fn query_id(&self, headers: &MetadataMap) -> Option<QueryId> {
        self.asker.is_peer().then(|| QueryId::parse(headers.get(headers::QUERY_ID)?.to_str().ok()?)).flatten()
    }

    /// The versions that a peer planned with.
    ///
    /// # Errors
    /// `UNSUPPORTED` when they cannot be read.
    pub fn versions(&self, headers: &MetadataMap) -> Result<BTreeMap<String, String>> {
        let unreadable = || EngineError::new(Code::Unsupported, "the table versions of the call cannot be read");
        match headers.get_bin(headers::VERSIONS).filter(|_| self.asker.is_peer()) {
            None => Ok(BTreeMap::new()),
            Some(value) => {
                let bytes = value.to_bytes().map_err(|_| unreadable())?;
                serde_json::from_slice(&bytes).map_err(|error| unreadable().caused_by(error))
            }
        }
    }

    /// Under whose name the query runs: the caller's own, or for a peer the one that it speaks for.
    pub fn on_behalf_of(&self, headers: &MetadataMap) -> Arc<Asker> {
        let told =
            headers.get_bin(headers::SUBJECT).filter(|_| self.asker.is_peer()).and_then(|value| value.to_bytes().ok());
        match told.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) {
            Some(name) => {
                let subject = policy::subject::Subject { name, ..Default::default() };
                let came = Came::Through(self.asker.subject.name.clone());
                Arc::new(Asker { came, ..Asker::user(subject) })
            }
            None => Arc::clone(&self.asker),
        }
    }

    /// Whether a peer asks for a trailer.
    pub fn wants_trailer(&self, headers: &MetadataMap) -> bool {
        self.asker.is_peer() && headers.contains_key(headers::TRAILER)
    }
}

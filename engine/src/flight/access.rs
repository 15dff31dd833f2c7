//! What a call brings with it: who it is from, for which purpose, on whose behalf, and what peers say in headers.
//! Of others no header counts but the purpose, the client's name and how to compress; beside a delegation no purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use tonic::Extensions;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::error::{Code, EngineError, Result};
use crate::flight::headers;
use crate::flight::wire_types::Reader;
use crate::identity::{
    self, About, Asker, Authenticator, Believed, Came, DelegationVerifier, Peer, SessionId, Settings, SignIn,
};
use crate::key_set::KeysTo;
use crate::session::place::Place;
use crate::session::queries::{QueryId, Standing};
use crate::session::trace::TraceContext;

/// Lets callers in.
#[derive(Debug)]
pub struct Access {
    authenticator: Arc<Authenticator>,
    delegations: Arc<DelegationVerifier>,
}

/// A user who signed in here.
#[derive(Debug)]
struct SignedIn {
    authenticator: Arc<Authenticator>,
    sign_in: SignIn,
}

impl Standing for SignedIn {
    fn holds(&self) -> bool {
        self.authenticator.holds(&self.sign_in)
    }
}

/// A caller that was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who asks.
    pub asker: Arc<Asker>,
    /// The purpose of whoever chooses none.
    pub default_purpose: Option<String>,
    /// Where the short names of their statements are looked for.
    pub place: Place,
    /// How long their statements may run, where their session says so.
    pub statement_timeout: Option<Duration>,
    /// How they read answers.
    pub reader: Reader,
    /// The trace that the call belongs to.
    pub trace: TraceContext,
    sign_in: Option<SignIn>,
    peer: Option<Arc<Peer>>,
}

impl Access {
    /// Lets in those whom `authenticator` believes, and those for whom a peer brings a delegation.
    pub fn new(authenticator: Authenticator, delegations: Arc<DelegationVerifier>) -> Arc<Self> {
        Arc::new(Self { authenticator: Arc::new(authenticator), delegations })
    }

    /// Who makes this call.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BUSY`; `PURPOSE` for a purpose that the caller does not hold.
    pub async fn caller(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Caller> {
        let certificates = certificates(extensions);
        let trace = TraceContext::of(headers.get(headers::TRACE).and_then(|value| value.to_str().ok()));
        let from = address(extensions);
        match self.authenticator.caller(authorization(headers)?, &certificates, from).await? {
            identity::Caller::Peer(peer) => Ok(Caller {
                asker: Arc::new(Asker::peer(&peer.name)),
                default_purpose: None,
                place: Place::default(),
                statement_timeout: None,
                reader: Reader::Peer,
                trace,
                sign_in: None,
                peer: Some(Arc::new(peer)),
            }),
            identity::Caller::User { user, sign_in, settings } => {
                let client = headers.get("user-agent").and_then(|agent| agent.to_str().ok());
                if let Some(session) = sign_in.session {
                    self.authenticator.note(session, client, from);
                }
                let asker =
                    self.ask_for((*user).clone(), settings.purpose, sign_in.session, purpose_header(headers)?)?;
                let default_purpose = user.default_purpose;
                let (place, statement_timeout) = (settings.place, settings.statement_timeout);
                let reader = client.map(Reader::of);
                Ok(Caller {
                    asker: Arc::new(asker),
                    default_purpose,
                    place,
                    statement_timeout,
                    reader: reader.unwrap_or_default(),
                    trace,
                    sign_in: Some(sign_in),
                    peer: None,
                })
            }
        }
    }

    /// The header's purpose, else the session's, else the default. A session whose purpose its user no longer holds is
    /// over, and the next call says so.
    fn ask_for(
        &self,
        user: Believed,
        chosen: Option<String>,
        session: Option<SessionId>,
        header: Option<String>,
    ) -> Result<Asker> {
        let by_session = header.is_none() && chosen.is_some();
        let asker = user.asking(header.or(chosen), Came::Directly);
        if let (Err(_), true, Some(session)) = (&asker, by_session, session) {
            self.authenticator.close(session);
        }
        asker
    }

    /// The caller of a statement, or of the view (`statement` is `None`): a user as before, and a peer as the user for
    /// whom it brings a delegation.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a peer without a delegation that is believed; `PURPOSE`, `BUSY`.
    pub async fn admit(&self, caller: &Caller, headers: &MetadataMap, statement: Option<&str>) -> Result<Caller> {
        let Some(peer) = &caller.peer else { return Ok(caller.clone()) };
        let header = headers.get_bin(headers::DELEGATION).and_then(|value| value.to_bytes().ok());
        let (Some(header), Some(query), Some(fragment)) = (header, caller.query_id(headers), fragment(headers)) else {
            return Err(not_delegated());
        };
        let about = About { site: self.delegations.site(), query: &query, fragment, statement };
        self.delegations.ready(&header).await;
        let asker = self.delegations.verify(&header, peer, &about)?;
        Ok(Caller { asker: Arc::new(asker), ..caller.clone() })
    }

    /// The handshake: the token of a session.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BUSY`.
    pub async fn handshake(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<String> {
        let certificates = certificates(extensions);
        self.authenticator.handshake(authorization(headers)?, &certificates, address(extensions)).await
    }

    /// Keeps a purpose for the rest of the caller's session, or goes back to the default; the answer is what counts now.
    ///
    /// # Errors
    /// `PURPOSE` for one that the caller does not hold, `STATEMENT` where there is no session.
    pub fn choose_purpose(&self, caller: &Caller, purpose: Option<String>) -> Result<Option<String>> {
        let sentence = "a purpose can be set in a session only: log in by a handshake, or send the purpose with each call \
                        in the header `x-chancery-purpose`";
        let session = caller.session().ok_or_else(|| EngineError::new(Code::Statement, sentence))?;
        let purpose = purpose.map(|purpose| caller.asker.held(purpose)).transpose()?;
        self.set(session, |settings| settings.purpose.clone_from(&purpose))?;
        Ok(purpose.or_else(|| caller.default_purpose.clone()))
    }

    /// Keeps for the rest of the caller's session where short names are looked for.
    ///
    /// # Errors
    /// `STATEMENT` where there is no session.
    pub fn choose_place(&self, caller: &Caller, place: Place) -> Result<()> {
        let sentence =
            "a catalog or a schema can be chosen in a session only: log in by a handshake, or write names in full";
        let session = caller.session().ok_or_else(|| EngineError::new(Code::Statement, sentence))?;
        self.set(session, |settings| settings.place = place)
    }

    /// Keeps for the rest of the caller's session how long its statements may run; `None` for as long as the node lets them.
    ///
    /// # Errors
    /// `STATEMENT` where there is no session.
    pub fn choose_timeout(&self, caller: &Caller, timeout: Option<Duration>) -> Result<()> {
        let sentence =
            "a timeout can be set in a session only: log in by a handshake, or send a deadline with each call";
        let session = caller.session().ok_or_else(|| EngineError::new(Code::Statement, sentence))?;
        self.set(session, |settings| settings.statement_timeout = timeout)
    }

    fn set(&self, session: SessionId, change: impl FnOnce(&mut Settings)) -> Result<()> {
        match self.authenticator.set(session, change) {
            true => Ok(()),
            false => Err(EngineError::new(Code::Unauthenticated, "the session has ended; log in again")),
        }
    }

    /// How the caller signed in, for what they run; nothing for a peer, whose streams end with its own.
    pub fn standing(&self, caller: &Caller) -> Option<Box<dyn Standing>> {
        let sign_in = caller.sign_in.clone()?;
        Some(Box::new(SignedIn { authenticator: Arc::clone(&self.authenticator), sign_in }))
    }

    /// Counts a statement of the caller's session, if there is one.
    pub fn count_statement(&self, caller: &Caller) {
        if let Some(session) = caller.session() {
            self.authenticator.count_statement(session);
        }
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.authenticator.sessions()
    }

    /// Ends the session of the caller's token or certificate, if it has one.
    pub fn close_session(&self, caller: &Caller) {
        if let Some(session) = caller.session() {
            self.authenticator.close(session);
        }
    }
}

/// The chain that TLS has verified, or nothing.
fn certificates(extensions: &Extensions) -> Arc<Vec<CertificateDer<'static>>> {
    extensions.get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs).unwrap_or_default()
}

/// Where a call comes from.
fn address(extensions: &Extensions) -> Option<IpAddr> {
    let over_tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
    let plain = || extensions.get::<TcpConnectInfo>();
    over_tls.or_else(plain)?.remote_addr().map(|address| address.ip())
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

/// The one purpose that the headers name, if they name one.
fn purpose_header(headers: &MetadataMap) -> Result<Option<String>> {
    let refused = |sentence| EngineError::new(Code::Purpose, sentence);
    let names = [headers::PURPOSE, headers::PURPOSE_ALIAS];
    let values: BTreeSet<&[u8]> =
        names.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.as_bytes()).collect();
    let mut values = values.into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(
            "the headers `x-chancery-purpose` and `purpose` name different purposes; send one of them",
        ));
    }
    let text = std::str::from_utf8(value).map_err(|_| refused("the purpose in the header is not UTF-8"))?;
    Ok(Some(text.to_string()))
}

impl Caller {
    fn session(&self) -> Option<SessionId> {
        self.sign_in.as_ref()?.session
    }

    /// Which of the query's statements a peer's call is; 0 for everybody else's.
    pub fn fragment(&self, headers: &MetadataMap) -> u64 {
        fragment(headers).filter(|_| self.is_from_peer()).map_or(0, |number| number as u64)
    }
}

/// The number of the statement within its query.
fn fragment(headers: &MetadataMap) -> Option<usize> {
    headers.get(headers::FRAGMENT)?.to_str().ok()?.parse().ok()
}

fn not_delegated() -> EngineError {
    EngineError::new(
        Code::Unauthenticated,
        "a coordinator asks here on behalf of a user, by a delegation, or not at all",
    )
}

impl Caller {
    /// The caller, if it is a user at this door: what is not delegated is refused to coordinators.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`.
    pub fn user(self) -> Result<Self> {
        if self.is_from_peer() { Err(not_delegated()) } else { Ok(self) }
    }

    /// Whether a coordinator made the call, in its own name or on behalf of a user.
    pub fn is_from_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// The query that a peer says its call belongs to.
    pub fn query_id(&self, headers: &MetadataMap) -> Option<QueryId> {
        self.is_from_peer().then(|| QueryId::parse(headers.get(headers::QUERY_ID)?.to_str().ok()?)).flatten()
    }

    /// The versions that a peer planned with.
    ///
    /// # Errors
    /// `UNSUPPORTED` when they cannot be read.
    pub fn versions(&self, headers: &MetadataMap) -> Result<BTreeMap<String, String>> {
        self.peer_header(headers, headers::VERSIONS, "the table versions of the call cannot be read")
    }

    /// Where a peer will send values of the answer.
    ///
    /// # Errors
    /// `UNSUPPORTED` when it cannot be read.
    pub fn keys_to(&self, headers: &MetadataMap) -> Result<Vec<KeysTo>> {
        self.peer_header(headers, headers::KEYS_TO, "where keys of the answer go cannot be read")
    }

    /// What a peer's header says in JSON; nothing without it.
    fn peer_header<T: Default + DeserializeOwned>(
        &self,
        headers: &MetadataMap,
        name: &str,
        sentence: &'static str,
    ) -> Result<T> {
        let unreadable = || EngineError::new(Code::Unsupported, sentence);
        match headers.get_bin(name).filter(|_| self.is_from_peer()) {
            None => Ok(T::default()),
            Some(value) => {
                let bytes = value.to_bytes().map_err(|_| unreadable())?;
                serde_json::from_slice(&bytes).map_err(|error| unreadable().caused_by(error))
            }
        }
    }

    /// Whether a peer asks for a trailer.
    pub fn wants_trailer(&self, headers: &MetadataMap) -> bool {
        self.is_from_peer() && headers.contains_key(headers::TRAILER)
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    fn purpose(headers: &[(&'static str, &'static str)]) -> Result<Option<String>, Code> {
        let mut map = MetadataMap::new();
        for (name, value) in headers {
            map.append(*name, MetadataValue::try_from(value.as_bytes()).unwrap());
        }
        purpose_header(&map).map_err(|error| error.code())
    }

    #[test]
    fn the_headers_name_one_purpose() {
        let care = Ok(Some("care".to_string()));
        assert_eq!(purpose(&[]), Ok(None));
        assert_eq!(purpose(&[("x-chancery-purpose", "care")]), care);
        assert_eq!(purpose(&[("purpose", "care")]), care);
        assert_eq!(purpose(&[("purpose", "care"), ("x-chancery-purpose", "care")]), care);
        assert_eq!(purpose(&[("purpose", "疫情")]), Ok(Some("疫情".to_string())));
        assert_eq!(purpose(&[("x-user", "eve"), ("x-purpose", "care"), ("x-chancery-subject", "eve")]), Ok(None));
        assert_eq!(purpose(&[("purpose", "care"), ("x-chancery-purpose", "Care")]), Err(Code::Purpose));
        assert_eq!(purpose(&[("purpose", "care"), ("purpose", "research")]), Err(Code::Purpose));
    }
}

//! The keys that an issuer publishes (OpenID Connect Discovery 1.0): fetched when a token needs them, kept, and fetched anew
//! when they are old or a token names one that is not among them.
//!
//! ```text
//! token's kid ── known, keys fresh ──────────────► the keys that are kept
//!             ── unknown, or none kept ── wait for ► fetch, at most one at a time and one in `issuer_keys_retry_s`
//!             ── known, keys old ────── one waits ► fetch; whoever comes meanwhile has the keys that are kept
//! ```
//! What is fetched is what the issuer's own address says: over TLS, following no redirect, asking no proxy, within a time and
//! a size. While the issuer is down its last keys serve, for `issuer_keys_kept_s` and no longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::token_keys::TokenKeys;
use crate::config::Limits;
use crate::config::checked::is_plain_here;
use crate::error::{Code, EngineError, Result};
use crate::session::threads::run_to_the_end;

/// Callers who wait for the keys of one issuer, or have left while their fetch goes on. Whoever comes then has the keys that are
/// kept.
const WAITING_MAX: usize = 1_000;

const DOCUMENT: &str = "/.well-known/openid-configuration";

/// The keys of one issuer, as it publishes them.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    client: Client,
    bytes_max: usize,
    refresh: Duration,
    retry: Duration,
    kept: Duration,
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
    waiting: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    fetched: Option<(Arc<TokenKeys>, Instant)>,
    tried: Option<Instant>,
}

/// Whether the keys that are kept will do.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    /// They will do; others may be there by now.
    Newer,
    /// They will not.
    Others,
}

/// What we read in the issuer's document.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl PublishedKeys {
    /// Asks nobody yet. `authorities` are believed about the issuer's certificate, and no others; without any those of the
    /// machine.
    ///
    /// # Errors
    /// `CONFIG` for an issuer that is no address, and for authorities that cannot be used.
    pub(super) fn of(issuer: &str, authorities: &[CertificateDer<'static>], limits: &Limits) -> Result<Self> {
        let address = check_issuer(issuer).map_err(|message| EngineError::new(Code::Config, message))?;
        let unusable = |error| EngineError::new(Code::Config, "no client for issuers can be made").caused_by(error);
        let mut builder = Client::builder()
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .https_only(address.scheme() == "https")
            .timeout(Duration::from_millis(limits.issuer_timeout_ms));
        if !authorities.is_empty() {
            builder = builder.tls_built_in_root_certs(false);
        }
        for authority in authorities {
            builder = builder.add_root_certificate(Certificate::from_der(authority).map_err(unusable)?);
        }
        let shared = Shared {
            issuer: issuer.to_string(),
            client: builder.build().map_err(unusable)?,
            bytes_max: limits.issuer_answer_bytes_max,
            refresh: Duration::from_secs(limits.issuer_keys_refresh_s),
            retry: Duration::from_secs(limits.issuer_keys_retry_s),
            kept: Duration::from_secs(limits.issuer_keys_kept_s),
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The keys that are kept, unless the issuer has not been heard of for too long.
    pub(super) fn current(&self) -> Option<Arc<TokenKeys>> {
        let state = self.shared.state.lock();
        let (keys, fetched) = state.fetched.as_ref()?;
        (fetched.elapsed() < self.shared.kept).then(|| Arc::clone(keys))
    }

    /// Fetches the keys if a token that names this one needs it.
    pub(super) async fn ready(&self, key: Option<&str>) {
        let need = self.shared.need(key);
        if need == Need::Nothing {
            return;
        }
        let Ok(place) = Arc::clone(&self.shared.waiting).try_acquire_owned() else { return };
        let (shared, key) = (Arc::clone(&self.shared), key.map(str::to_string));
        // To its end: whoever comes with made-up tokens and leaves must not keep the keys from everybody else.
        let fetched = run_to_the_end(async move {
            let _held = place;
            shared.fetch_for(key.as_deref(), &need).await;
            Ok(())
        });
        if let Err(error) = fetched.await {
            tracing::error!(%error, "the keys of an issuer were not fetched");
        }
    }
}

impl Shared {
    fn need(&self, key: Option<&str>) -> Need {
        let state = self.state.lock();
        let may_ask = state.tried.is_none_or(|tried| tried.elapsed() >= self.retry);
        match &state.fetched {
            // Somebody may be asking now, and is waited for.
            None => Need::Others,
            Some((keys, _)) if keys.find(key).is_none() => Need::Others,
            Some((_, fetched)) if fetched.elapsed() >= self.refresh && may_ask => Need::Newer,
            Some(_) => Need::Nothing,
        }
    }

    async fn fetch_for(&self, key: Option<&str>, need: &Need) {
        let _turn = match need {
            Need::Nothing => return,
            Need::Newer => match self.fetching.try_lock() {
                Ok(turn) => turn,
                Err(_) => return,
            },
            Need::Others => self.fetching.lock().await,
        };
        if self.need(key) == Need::Nothing || !self.may_ask_now() {
            return;
        }
        match self.fetch().await {
            Ok(keys) => self.state.lock().fetched = Some((Arc::new(keys), Instant::now())),
            Err(reason) => tracing::warn!(
                issuer = self.issuer,
                reason,
                "the keys of an issuer cannot be fetched; those that were fetched before serve for a while"
            ),
        }
    }

    /// Whether enough time has gone by since the last attempt; if so, this is one.
    fn may_ask_now(&self) -> bool {
        let mut state = self.state.lock();
        let may_ask = state.tried.is_none_or(|tried| tried.elapsed() >= self.retry);
        if may_ask {
            state.tried = Some(Instant::now());
        }
        may_ask
    }

    /// The error is for the log.
    async fn fetch(&self) -> Result<TokenKeys, String> {
        let own = Url::parse(&self.issuer).map_err(|error| error.to_string())?;
        let document = format!("{}{DOCUMENT}", self.issuer.trim_end_matches('/'));
        let document = self.get(Url::parse(&document).map_err(|error| error.to_string())?).await?;
        let document: Document =
            serde_json::from_slice(&document).map_err(|error| format!("its document cannot be read: {error}"))?;
        if document.issuer != self.issuer {
            return Err("its document is another issuer's".to_string());
        }
        let address = Url::parse(&document.jwks_uri).map_err(|error| format!("its `jwks_uri` is no URL: {error}"))?;
        if address.scheme() != "https" && !(is_plain_here(&address) && is_plain_here(&own)) {
            return Err("its `jwks_uri` is not https".to_string());
        }
        let set = self.get(address).await?;
        TokenKeys::parse(&set, &self.issuer).map_err(|error| format!("its key set {}", error.sentence()))
    }

    async fn get(&self, address: Url) -> Result<Vec<u8>, String> {
        let at = address.to_string();
        let failed = |error: reqwest::Error| format!("{at}: {}", causes(&error));
        let mut answer = self.client.get(address).header("accept", "application/json").send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("{at}: answered with {}, and redirects are not followed", answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > self.bytes_max {
                return Err(format!("{at}: has more than {} bytes (`issuer_answer_bytes_max`)", self.bytes_max));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Whether an issuer can be asked for its keys: an address over TLS, or on this machine.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_issuer(issuer: &str) -> Result<Url, String> {
    let address = Url::parse(issuer).map_err(|error| format!("`{issuer}` is no URL: {error}"))?;
    let is_guarded = address.scheme() == "https" && address.has_host();
    if !(is_guarded || is_plain_here(&address)) || address.query().is_some() || address.fragment().is_some() {
        return Err(format!(
            "`{issuer}` cannot be asked for its keys: `discover` needs an issuer that is an https:// address without `?` and \
             `#` (http:// on this machine only)"
        ));
    }
    Ok(address)
}

fn causes(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}

#[cfg(test)]
mod tests;

//! How a server of files is reached: who is believed to be it, how long it may take, how often it is asked again.

use std::path::Path;
use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use rustls::pki_types::CertificateDer;

use crate::options::OptionReader;
use crate::options::access::read_authorities;

const CONNECT_TIMEOUT_MS: i64 = 10_000;
const REQUEST_TIMEOUT_MS: i64 = 30_000;
/// An hour.
const TIMEOUT_MS_MAX: i64 = 3_600_000;
const RETRIES_MAX: i64 = 3;
/// The first pause before a request is tried again; each is about twice the one before.
const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("chancery/", env!("CARGO_PKG_VERSION"));

/// How a server is reached.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    is_encrypted: bool,
    /// The only authority believed; `None` for those of the machine.
    authority: Option<Vec<CertificateDer<'static>>>,
    connect_timeout: Duration,
    /// For one request and all of its answer.
    request_timeout: Duration,
    retries_max: usize,
}

impl Reach {
    /// Reads the options that all servers of files have. `address` is the key of the option that says whether TLS is spoken;
    /// without an address, it is.
    pub(super) fn parse(
        reader: &mut OptionReader<'_>,
        base: &Path,
        address: &str,
        scheme: Option<&str>,
    ) -> Option<Self> {
        let is_encrypted = scheme != Some("http");
        let may_be_plain = reader.flag("allow_http").unwrap_or(false);
        if !is_encrypted && !may_be_plain {
            let message = "is `http://`, so whoever listens reads along; write `https://`, or `allow_http = true`";
            reader.fault(address, message);
        }
        let authority = parse_authority(reader, base);
        if !is_encrypted && authority.is_some() {
            reader.fault("tls_ca", format!("contradicts `{address}`, which is `http://`"));
        }
        let connect_timeout = reader.timeout("connect_timeout_ms", TIMEOUT_MS_MAX, CONNECT_TIMEOUT_MS);
        let request_timeout = reader.timeout("request_timeout_ms", TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS);
        let retries_max = reader.number("retries_max", 0..=100).unwrap_or(RETRIES_MAX);
        Some(Self {
            is_encrypted,
            authority,
            connect_timeout,
            request_timeout,
            retries_max: usize::try_from(retries_max).ok()?,
        })
    }

    /// What requests are made with. It follows no redirect and asks no proxy: what is read is what the configuration names.
    pub(super) fn client(&self) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .no_proxy()
            .https_only(self.is_encrypted)
            .connect_timeout(self.connect_timeout)
            .timeout(self.request_timeout)
            .http1_only();
        if let Some(authority) = &self.authority {
            builder = builder.tls_built_in_root_certs(false);
            for certificate in authority {
                builder = builder.add_root_certificate(Certificate::from_der(certificate)?);
            }
        }
        builder.build()
    }

    /// A read ends after at most `retries_max + 1` requests, each within its time.
    pub(super) fn retries(&self) -> RetryConfig {
        let requests = u32::try_from(self.retries_max).unwrap_or(u32::MAX).saturating_add(1);
        RetryConfig {
            backoff: BackoffConfig { init_backoff: BACKOFF, max_backoff: BACKOFF_MAX, base: 2.0 },
            max_retries: self.retries_max,
            retry_timeout: (self.request_timeout + BACKOFF_MAX).saturating_mul(requests),
        }
    }
}

fn parse_authority(reader: &mut OptionReader<'_>, base: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let file = reader.text("tls_ca")?;
    match read_authorities(&base.join(file)) {
        Ok(certificates) => Some(certificates),
        Err(fault) => {
            reader.fault("tls_ca", format!("`{file}` {fault}"));
            None
        }
    }
}

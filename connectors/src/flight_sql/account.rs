//! Who we are to a server: what is sent with every call, got by signing in, and got anew when the server no longer takes it.

use std::future::Future;

use arrow_flight::HandshakeResponse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Mutex;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

use super::config::Account;

/// The header that says who asks.
pub(super) const AUTHORIZATION: &str = "authorization";

/// What a server believes us by: the value of the header, or none where it asks for none.
pub(super) type Pass = Option<AsciiMetadataValue>;

/// An account, and the pass that it has for now.
#[derive(Debug)]
pub(super) struct Passes {
    account: Account,
    /// The newest, and how many there were.
    current: Mutex<Option<(Pass, u64)>>,
}

/// What a server answers to one who signs in.
#[derive(Debug)]
pub(super) struct Welcome {
    pub(super) headers: MetadataMap,
    pub(super) first: Option<HandshakeResponse>,
}

impl Passes {
    pub(super) fn new(account: Account) -> Self {
        Self { account, current: Mutex::default() }
    }

    /// The pass, and its number. `refused` is the number of one that the server no longer takes. Whoever comes first signs in
    /// by `handshake`, which is given the pass to do it with; the others wait for that.
    ///
    /// # Errors
    /// What the server answers to who signs in; unauthenticated if the secret cannot be read any more.
    pub(super) async fn pass<F>(
        &self,
        refused: Option<u64>,
        handshake: impl FnOnce(AsciiMetadataValue) -> F + Send,
    ) -> Result<(Pass, u64), Status>
    where
        F: Future<Output = Result<Welcome, Status>> + Send,
    {
        let mut current = self.current.lock().await;
        if let Some((pass, number)) = &*current
            && refused != Some(*number)
        {
            return Ok((pass.clone(), *number));
        }
        let pass = self.sign_in(handshake).await?;
        let number = current.as_ref().map_or(0, |(_, number)| number + 1);
        *current = Some((pass.clone(), number));
        Ok((pass, number))
    }

    /// Whether another pass may be had than the one that was refused.
    pub(super) fn renews(&self) -> bool {
        self.account != Account::None
    }

    async fn sign_in<F>(&self, handshake: impl FnOnce(AsciiMetadataValue) -> F + Send) -> Result<Pass, Status>
    where
        F: Future<Output = Result<Welcome, Status>> + Send,
    {
        match &self.account {
            Account::None => Ok(None),
            Account::Token(place) => {
                let token = place.read().map_err(Status::unauthenticated)?;
                Ok(Some(secret(format!("Bearer {}", token.reveal()))?))
            }
            Account::User { name, password } => {
                let password = password.read().map_err(Status::unauthenticated)?;
                let pair = format!("{name}:{}", password.reveal());
                let basic = secret(format!("Basic {}", BASE64_STANDARD.encode(pair)))?;
                match handshake(basic.clone()).await {
                    Ok(welcome) => Ok(Some(granted(&welcome).unwrap_or(basic))),
                    // Without a handshake the account itself goes with every call.
                    Err(status) if status.code() == Code::Unimplemented => Ok(Some(basic)),
                    Err(status) => Err(status),
                }
            }
        }
    }
}

/// The token that a server gives: in the header of its answer, or as the answer.
fn granted(welcome: &Welcome) -> Option<AsciiMetadataValue> {
    if let Some(value) = welcome.headers.get(AUTHORIZATION) {
        let mut value = value.clone();
        value.set_sensitive(true);
        return Some(value);
    }
    let payload = std::str::from_utf8(&welcome.first.as_ref()?.payload).ok()?;
    (!payload.is_empty()).then(|| secret(format!("Bearer {payload}")).ok()).flatten()
}

fn secret(text: String) -> Result<AsciiMetadataValue, Status> {
    let unusable = |_| Status::unauthenticated("the secret holds what a header cannot");
    let mut value: AsciiMetadataValue = text.parse().map_err(unusable)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(header: Option<&str>, payload: Option<&[u8]>) -> Welcome {
        let mut headers = MetadataMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        let first = payload.map(|payload| HandshakeResponse { protocol_version: 0, payload: payload.to_vec().into() });
        Welcome { headers, first }
    }

    #[test]
    fn a_token_stands_in_the_header_or_is_the_answer() {
        let check = |welcome: Welcome, expect: Option<&str>| {
            assert_eq!(granted(&welcome).as_ref().map(|value| value.to_str().unwrap()), expect);
        };
        check(welcome(Some("Bearer a"), Some(b"b")), Some("Bearer a"));
        check(welcome(None, Some(b"b")), Some("Bearer b"));
        check(welcome(None, Some(b"")), None);
        check(welcome(None, Some(&[0xFF])), None);
        check(welcome(None, None), None);
        assert!(!format!("{:?}", granted(&welcome(Some("Bearer a"), None))).contains("Bearer a"));
    }
}

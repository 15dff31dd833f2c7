//! The one door to the network. What is secret is added here, after the store has made its request and where no error of
//! the store can show it; of an answer that is no success nothing is kept but its status and the code that S3 gives.

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use datafusion_common_runtime::SpawnedTask;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use thiserror::Error;

use super::fault::Refusal;
use super::reach::Reach;
use crate::options::secret::SecretPlace;

/// The most that is read of an answer that is no success.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// The most that is read of an answer that is not a part of a file: a listing.
const LISTING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Opens connections in one way and with one identity.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    reach: Reach,
    access: Access,
}

/// Who we are to a server that knows nothing of S3's signatures.
#[derive(Debug, Clone)]
pub(super) enum Access {
    None,
    User {
        user: String,
        password: SecretPlace,
    },
    Token(SecretPlace),
    /// The query that each request carries, as signed addresses do.
    Query(SecretPlace),
}

impl Transport {
    pub(super) fn new(reach: Reach, access: Access) -> Self {
        Self { reach, access }
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self
            .reach
            .client()
            .map_err(|error| object_store::Error::Generic { store: "http", source: Box::new(error) })?;
        Ok(HttpClient::new(Door { client, access: self.access.clone() }))
    }
}

#[derive(Debug)]
struct Door {
    client: reqwest::Client,
    access: Access,
}

#[async_trait]
impl HttpService for Door {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.method().as_str() == "PROPFIND" {
            // Of a directory without it, many servers only say where it is with one (RFC 4918, 5.2).
            *request.uri_mut() = with_slash(request.uri()).unwrap_or_else(|| request.uri().clone());
        }
        self.access.add_to(&mut request).await?;
        let (parts, body) = self.client.call(request).await?.into_parts();
        match parts.status {
            StatusCode::PARTIAL_CONTENT => Ok(HttpResponse::from_parts(parts, body)),
            status if status.is_success() => {
                let limited = Limited::new(body, LISTING_BYTES_MAX).map_err(too_long);
                Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(limited)))
            }
            status => match Refusal::new(status, code(body).await) {
                // What a store makes of these is all that we need.
                refusal if refusal.is_about_one_file() => Ok(HttpResponse::from_parts(parts, Bytes::new().into())),
                // The kind tells the store whether to try again.
                refusal if refusal.may_pass() => Err(HttpError::new(HttpErrorKind::Interrupted, refusal)),
                refusal => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
            },
        }
    }
}

impl Access {
    async fn add_to(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        match self {
            Self::None => {}
            Self::User { user, password } => {
                let pair = format!("{user}:{}", read(password).await?);
                authorize(request, &format!("Basic {}", BASE64_STANDARD.encode(pair)))?;
            }
            Self::Token(token) => authorize(request, &format!("Bearer {}", read(token).await?))?,
            Self::Query(query) => {
                let uri = with_query(request.uri(), &read(query).await?);
                *request.uri_mut() = uri.ok_or_else(|| unusable("the query is not one of an address"))?;
            }
        }
        Ok(())
    }
}

fn authorize(request: &mut HttpRequest, value: &str) -> Result<(), HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable("it holds a character that no header may"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn with_slash(uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}/", uri.path().trim_end_matches('/')).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let path = format!("{}?{}", uri.path(), query.trim_start_matches('?'));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

async fn read(place: &SecretPlace) -> Result<String, HttpError> {
    let place = place.clone();
    let read = SpawnedTask::spawn_blocking(move || place.read().map(|secret| secret.reveal().to_owned())).await;
    read.unwrap_or_else(|error| Err(error.to_string())).map_err(|message| unusable(&message))
}

/// The secret that a request needs is not there, in words of ours.
#[derive(Debug, Error)]
#[error("the secret cannot be used: {0}")]
pub(super) struct Unusable(pub(super) String);

fn unusable(message: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Unusable(message.to_owned()))
}

/// The `Code` of S3's message, if the answer is one.
async fn code(body: HttpResponseBody) -> Option<String> {
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await.ok()?.to_bytes();
    let text = str::from_utf8(&body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code = (1..=64).contains(&code.len()) && code.chars().all(|character| character.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

#[derive(Debug, Error)]
#[error("an answer is longer than {LISTING_BYTES_MAX} bytes, or was cut")]
struct TooLong;

fn too_long(error: Box<dyn std::error::Error + Send + Sync>) -> HttpError {
    match error.downcast::<HttpError>() {
        Ok(error) => *error,
        Err(_) => HttpError::new(HttpErrorKind::Decode, TooLong),
    }
}

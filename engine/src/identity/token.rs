//! Tokens of issuers (JWT, RFC 7519): believed by the signature of a known issuer and nothing else in them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation};
use policy::subject::Subject;
use serde::Deserialize;

use super::asker::{Believed, Issuer};
use super::claims::ClaimRules;
use super::discovery::PublishedKeys;
use super::facts::Facts;
use super::issuers::Shown;
use super::json::Unambiguous;
use super::name;
use super::reread::Reread;
use super::token_keys::{TokenKey, TokenKeys};
use crate::config::{Extent, KeySource, Limits, TokenTrust};
use crate::error::Result;

/// The longest token that is looked into; the largest claims, written out, are shorter.
const TOKEN_BYTES_MAX: usize = 128 << 10;

/// An issuer of tokens and its keys.
#[derive(Debug)]
pub(super) struct TokenIssuer {
    pub(super) name: String,
    audience: String,
    direct_audience: Option<String>,
    clock_skew: Duration,
    extent: Extent,
    algorithms: Option<Vec<Algorithm>>,
    claims: ClaimRules,
    keys: Keys,
}

/// Where the keys come from.
#[derive(Debug)]
enum Keys {
    File(Reread<TokenKeys>),
    Published(PublishedKeys),
}

impl Keys {
    fn current(&self) -> Option<Arc<TokenKeys>> {
        match self {
            Self::File(file) => Some(file.current()),
            Self::Published(published) => published.current(),
        }
    }
}

const NOT_AS_MUST_BE: &str = "the signature or a claim is not as it must be";
/// What a header may not have: what must be understood and is not (RFC 7515, 4.1.11), and what changes what the token's bytes
/// mean: compression, a payload that is not base64, encryption.
const HEADER_NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// The kinds of token that say who somebody is; others, of a log-out or of an event, are signed by the same keys (RFC 8725,
/// 3.11).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "id+jwt"];
/// The end of year 9999. What is later was written in milliseconds.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// What a token says; what is not named here means nothing to us.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    act: Option<Actor>,
    #[serde(flatten)]
    facts: Facts,
}

/// Who alone may bring the token (RFC 8693, 4.1).
#[derive(Deserialize)]
struct Actor {
    sub: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(BTreeSet<String>),
}

/// Whether a bearer credential has the form of a token, and so is none of our sessions.
pub(super) fn is_token(bearer: &str) -> bool {
    bearer.split('.').count() == 3
}

/// The issuer that a token names, before anything of it is believed.
pub(super) fn named_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    jsonwebtoken::dangerous::insecure_decode_claims::<Named>(token).ok().map(|named| named.iss)
}

impl TokenIssuer {
    pub(super) fn open(name: &str, extent: &Extent, trust: &TokenTrust, limits: &Limits) -> Result<Self> {
        let keys = match &trust.keys {
            KeySource::File(path) => Keys::File(Reread::open(path.clone(), TokenKeys::read)?),
            KeySource::Published { authorities } => Keys::Published(PublishedKeys::of(name, authorities, limits)?),
        };
        Ok(Self {
            name: name.to_string(),
            audience: trust.audience.clone(),
            direct_audience: trust.direct_audience.clone(),
            clock_skew: Duration::from_secs(trust.clock_skew_s),
            extent: extent.clone(),
            algorithms: trust.algorithms.clone(),
            claims: trust.claims.clone(),
            keys,
        })
    }

    /// Has the issuer's keys fetched if the token needs that.
    pub(super) async fn ready(&self, token: &str) {
        if let (Keys::Published(published), Ok(header)) = (&self.keys, header_of(token)) {
            published.ready(header.kid.as_deref()).await;
        }
    }

    /// The user of a token; the error says for the log what is wrong with it, and repeats nothing of it.
    pub(super) fn verify(&self, token: &str, shown: Shown<'_>, now: SystemTime) -> Result<Believed, &'static str> {
        let claims = self.signed_claims(token)?;
        if claims.iss != self.name {
            return Err("the token is another issuer's");
        }
        match shown {
            Shown::AtTheDoor => self.check_direct(&claims)?,
            Shown::By(names) => self.check_brought(&claims, names)?,
        }
        let ends = instant(claims.exp).and_then(|exp| exp.checked_add(self.clock_skew)).ok_or("exp is no time")?;
        if ends < now {
            return Err("the token has expired");
        }
        if let Some(nbf) = claims.nbf {
            let begins = instant(nbf).ok_or("nbf is no time")?;
            if now.checked_add(self.clock_skew).is_none_or(|now| now < begins) {
                return Err("the token is not valid yet");
            }
        }
        name::check_any(&claims.sub).map_err(|_| "sub is no user's name")?;
        claims.facts.check().map_err(|_| "a claim is over a limit")?;
        let facts = Facts { roles: self.claims.roles(claims.facts.roles), ..claims.facts };
        let facts = facts.within(&self.extent, &claims.sub)?;
        Ok(self.believed(claims.sub, facts, ends, token))
    }

    /// A token that a coordinator was shown, or that is for another node too, does not open a site's own door: whoever has
    /// seen it could come with it. A coordinator takes at its own door what it brings to sites, and they check the actor.
    fn check_direct(&self, claims: &Claims) -> Result<(), &'static str> {
        let wanted = self.direct_audience.as_ref().ok_or("the issuer's tokens do not open this door")?;
        if *wanted == self.audience {
            return if claims.aud.contains(wanted) { Ok(()) } else { Err("the token is for another audience") };
        }
        if !claims.aud.is_only(wanted) {
            return Err("the token is for another audience, or not for this door alone");
        }
        if claims.act.is_some() { Err("the token is for an actor to bring") } else { Ok(()) }
    }

    fn check_brought(&self, claims: &Claims, names: &[String]) -> Result<(), &'static str> {
        if !claims.aud.contains(&self.audience) {
            return Err("the token is for another audience");
        }
        match &claims.act {
            Some(actor) if !names.iter().any(|name| name.eq_ignore_ascii_case(&actor.sub)) => {
                Err("the token is for another actor to bring")
            }
            _ => Ok(()),
        }
    }

    fn believed(&self, sub: String, facts: Facts, ends: SystemTime, token: &str) -> Believed {
        let default_purpose = facts.default_purpose.clone();
        let subject: Subject = facts.into_subject(sub);
        let issuer = Issuer::Token { name: self.name.clone(), token: Arc::from(token) };
        Believed { subject, default_purpose, issuer, ends: Some(ends) }
    }

    /// The claims, once the signature is found to be by a key of the issuer, under an algorithm of that key.
    fn signed_claims(&self, token: &str) -> Result<Claims, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let header = header_of(token)?;
        let keys = self.keys.current().ok_or("there are no keys of the issuer")?;
        let key = keys.find(header.kid.as_deref()).ok_or("the key is none of the issuer's")?;
        if self.algorithms.as_ref().is_some_and(|allowed| !allowed.contains(&header.alg)) {
            return Err("the algorithm is none of the issuer's");
        }
        let claims = jsonwebtoken::decode::<Unambiguous>(token, &key.key, &signature_only(key));
        let Unambiguous(claims) = claims.map_err(|_| NOT_AS_MUST_BE)?.claims;
        Claims::deserialize(self.claims.read(claims)?).map_err(|_| NOT_AS_MUST_BE)
    }
}

/// The header, which is read twice: as what it must say, and for what it must not.
fn header_of(token: &str) -> Result<Header, &'static str> {
    let unreadable = "the header is none that is believed";
    let encoded = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| unreadable)?;
    let Unambiguous(all) = serde_json::from_slice(&bytes).map_err(|_| unreadable)?;
    let header = jsonwebtoken::decode_header(token).map_err(|_| unreadable)?;
    if HEADER_NOT_UNDERSTOOD.iter().any(|name| all.get(name).is_some()) {
        return Err("the header asks for what is not understood");
    }
    let media_type = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if !TYPES.contains(&media_type.strip_prefix("application/").unwrap_or(&media_type)) {
        return Err("the token is of a type that does not say who asks");
    }
    Ok(header)
}

impl Audience {
    fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.contains(audience),
        }
    }

    fn is_only(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.len() == 1 && several.contains(audience),
        }
    }
}

/// The crate checks the signature; the claims are checked here, at our own clock.
fn signature_only(key: &TokenKey) -> Validation {
    let mut validation = Validation::default();
    validation.algorithms.clone_from(&key.algorithms);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// A NumericDate: seconds since 1970, possibly with a fraction.
fn instant(seconds: f64) -> Option<SystemTime> {
    let since = Some(seconds).filter(|seconds| *seconds <= SECONDS_MAX)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(since).ok()?)
}

#[cfg(test)]
mod tests;

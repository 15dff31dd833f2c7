//! `[[issuer]]`: whom a node believes about users, beside its own users file, and for which roles.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::node::checked;
use super::raw::Section;
use crate::identity::token_keys::TokenKeys;

/// The longest difference between the clocks of an issuer and of this node that an operator may allow.
const CLOCK_SKEW_S_MAX: u64 = 300;
const CLOCK_SKEW_S: u64 = 60;

/// One `[[issuer]]`.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// `name`: the `iss` of its tokens; for a coordinator the name in its certificate.
    pub name: String,
    /// `trust`: what it is believed by.
    pub trust: IssuerTrust,
    /// `roles`: which roles it is believed for; others that it claims are dropped.
    pub roles: BelievedRoles,
}

/// By what an issuer is believed.
#[derive(Debug, Clone)]
pub enum IssuerTrust {
    /// `trust = "token"`, the default: by the signature of its tokens.
    Token(TokenTrust),
    /// `trust = "coordinator"`: a peer, by its certificate, for the users of its own users file.
    Coordinator,
}

/// What a token of an issuer is checked with.
#[derive(Debug, Clone)]
pub struct TokenTrust {
    /// `keys`: a JWK set in a file, read again when it changes.
    pub keys: PathBuf,
    /// `audience`: the `aud` that a token must carry.
    pub audience: String,
    /// `clock_skew_s`: by how much the issuer's clock and ours may differ; 60 by default.
    pub clock_skew_s: u64,
}

/// The roles that an issuer is believed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BelievedRoles {
    /// `["*"]`: any.
    Any,
    /// These and no other.
    These(BTreeSet<String>),
}

impl BelievedRoles {
    /// Of the roles claimed, those that the issuer is believed for.
    pub fn believed(&self, claimed: BTreeSet<String>) -> BTreeSet<String> {
        match self {
            Self::Any => claimed,
            Self::These(roles) => claimed.into_iter().filter(|role| roles.contains(role)).collect(),
        }
    }
}

/// Reads every `[[issuer]]`; no name twice.
pub(super) fn read(root: &mut Section<'_>) -> Option<Vec<IssuerConfig>> {
    let mut names = BTreeSet::new();
    let issuers: Vec<_> = root.sections("issuer").into_iter().map(|section| read_one(section, &mut names)).collect();
    issuers.into_iter().collect()
}

/// A coordinator vouches for users at sites that have it among their peers, and nowhere else.
pub(super) fn check_coordinators(root: &Section<'_>, issuers: &[IssuerConfig], peers: &BTreeSet<String>) {
    for (index, issuer) in issuers.iter().enumerate() {
        let is_peer = || peers.iter().any(|peer| peer.eq_ignore_ascii_case(&issuer.name));
        if matches!(issuer.trust, IssuerTrust::Coordinator) && !is_peer() {
            let message = "a coordinator is believed at a site whose `peers` names it; there is no such peer here";
            root.fault(&format!("issuer[{index}].name"), message);
        }
    }
}

fn read_one(mut section: Section<'_>, names: &mut BTreeSet<String>) -> Option<IssuerConfig> {
    let name = section.text("name");
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        section.fault("name", format!("another issuer is named `{name}`"));
    }
    let roles = read_roles(&mut section);
    let trust = match section.optional_text("trust").as_deref() {
        None | Some("token") => {
            if let Some(name) = &name {
                checked(&section, "name", check_token_issuer(name));
            }
            read_token(&mut section).map(IssuerTrust::Token)
        }
        Some("coordinator") => Some(IssuerTrust::Coordinator),
        Some(other) => {
            section.fault("trust", format!("unknown trust `{other}`; known: token, coordinator"));
            None
        }
    };
    section.finish();
    Some(IssuerConfig { name: name?, trust: trust?, roles: roles? })
}

fn read_token(section: &mut Section<'_>) -> Option<TokenTrust> {
    let keys = section.path("keys");
    if let Some(Err(error)) = keys.as_deref().map(TokenKeys::read) {
        section.fault("keys", error.sentence());
    }
    let audience = section.text("audience");
    let clock_skew_s = section.number("clock_skew_s", 0..=CLOCK_SKEW_S_MAX).unwrap_or(CLOCK_SKEW_S);
    Some(TokenTrust { keys: keys?, audience: audience?, clock_skew_s })
}

fn read_roles(section: &mut Section<'_>) -> Option<BelievedRoles> {
    let roles: BTreeSet<String> = section.texts("roles")?.into_iter().collect();
    if roles.is_empty() {
        section
            .fault("roles", "is missing or empty: name the roles that this issuer is believed for, or [\"*\"] for any");
    }
    Some(if roles.contains("*") { BelievedRoles::Any } else { BelievedRoles::These(roles) })
}

/// Users are recorded as `name@issuer`; what that stands for must be plain.
fn check_token_issuer(name: &str) -> Result<(), String> {
    let plain = |one: char| !one.is_whitespace() && !one.is_control() && one != '@';
    if name.contains(':') && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!("`{name}` is no issuer's name: write the `iss` of its tokens, a URI as https://login.example"))
}

//! `[[issuer]]`: whom a node believes about users, beside its own users file, and how far.

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
    /// How far it is believed.
    pub extent: Extent,
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
    /// `audience`: the `aud` of tokens that coordinators take and bring.
    pub audience: String,
    /// The `aud` of tokens that open this node's own door. At a site `direct_audience`, and none without it; at a
    /// coordinator `audience`.
    pub direct_audience: Option<String>,
    /// `clock_skew_s`: by how much the issuer's clock and ours may differ; 60 by default.
    pub clock_skew_s: u64,
}

/// How far an issuer is believed: a user who is not listed is none of its, and what else it claims and is not listed is
/// dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// `roles`: must be written.
    pub roles: Listed,
    /// `users`: any when left out.
    pub users: Listed,
    /// `organisations`: any when left out.
    pub organisations: Listed,
    /// `purposes`: any when left out.
    pub purposes: Listed,
}

/// Names that an issuer is believed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// `["*"]`: any.
    Any,
    /// These and no other.
    These(BTreeSet<String>),
}

impl Extent {
    /// Believed in everything.
    pub const WHOLE: Extent =
        Extent { roles: Listed::Any, users: Listed::Any, organisations: Listed::Any, purposes: Listed::Any };
}

impl Listed {
    /// Of the names claimed, those that the issuer is believed for.
    pub fn believed(&self, claimed: BTreeSet<String>) -> BTreeSet<String> {
        claimed.into_iter().filter(|name| self.has(name)).collect()
    }

    /// Whether the issuer is believed for the name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(names) => names.contains(name),
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

/// At a coordinator's own door users sign in with the tokens that it brings to sites.
pub(super) fn open_by_audience(root: &Section<'_>, issuers: &mut [IssuerConfig]) {
    for (index, issuer) in issuers.iter_mut().enumerate() {
        let IssuerTrust::Token(trust) = &mut issuer.trust else { continue };
        if trust.direct_audience.replace(trust.audience.clone()).is_some() {
            let message = "is a key of sites; at a coordinator's own door tokens carry `audience`";
            root.fault(&format!("issuer[{index}].direct_audience"), message);
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
    let extent = read_extent(&mut section);
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
    Some(IssuerConfig { name: name?, trust: trust?, extent: extent? })
}

fn read_token(section: &mut Section<'_>) -> Option<TokenTrust> {
    let keys = section.path("keys");
    if let Some(Err(error)) = keys.as_deref().map(TokenKeys::read) {
        section.fault("keys", error.sentence());
    }
    let audience = section.text("audience");
    let direct_audience = section.optional_text("direct_audience");
    if direct_audience.is_some() && direct_audience == audience {
        let message = "is `audience` too: a coordinator that is shown a token could then sign in here with it";
        section.fault("direct_audience", message);
    }
    let clock_skew_s = section.number("clock_skew_s", 0..=CLOCK_SKEW_S_MAX).unwrap_or(CLOCK_SKEW_S);
    Some(TokenTrust { keys: keys?, audience: audience?, direct_audience, clock_skew_s })
}

fn read_extent(section: &mut Section<'_>) -> Option<Extent> {
    if !section.has("roles") {
        let message = "is missing: name the roles that this issuer is believed for, or [\"*\"] for any";
        section.fault("roles", message);
    }
    let roles = read_listed(section, "roles");
    let users = read_listed(section, "users");
    let organisations = read_listed(section, "organisations");
    let purposes = read_listed(section, "purposes");
    Some(Extent { roles: roles?, users: users?, organisations: organisations?, purposes: purposes? })
}

/// Any name where there is no list; a list of none would be read as either.
fn read_listed(section: &mut Section<'_>, key: &'static str) -> Option<Listed> {
    let is_written = section.has(key);
    let names: BTreeSet<String> = section.texts(key)?.into_iter().collect();
    if names.is_empty() && is_written {
        section.fault(key, "is empty: name those that this issuer is believed for, or [\"*\"] for any");
    }
    Some(if names.is_empty() || names.contains("*") { Listed::Any } else { Listed::These(names) })
}

/// Users are recorded as `name@issuer`; what that stands for must be plain.
fn check_token_issuer(name: &str) -> Result<(), String> {
    let plain = |one: char| !one.is_whitespace() && !one.is_control() && one != '@';
    if name.contains(':') && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!("`{name}` is no issuer's name: write the `iss` of its tokens, a URI as https://login.example"))
}

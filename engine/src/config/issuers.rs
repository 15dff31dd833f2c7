//! `[[issuer]]`: whom a node believes about users, beside its own users file, and how far.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;

use super::node::checked;
use super::raw::Section;
use super::tls::authorities;
use crate::identity::claims::{ClaimPath, ClaimRules, NAMED};
use crate::identity::discovery::check_issuer;
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
    Token(Box<TokenTrust>),
    /// `trust = "coordinator"`: a peer, by its certificate, for the users of its own users file.
    Coordinator,
}

/// What a token of an issuer is checked with.
#[derive(Debug, Clone)]
pub struct TokenTrust {
    /// Where its keys come from.
    pub keys: KeySource,
    /// `audience`: the `aud` of tokens that coordinators take and bring.
    pub audience: String,
    /// The `aud` of tokens that open this node's own door. At a site `direct_audience`, and none without it; at a
    /// coordinator `audience`.
    pub direct_audience: Option<String>,
    /// `clock_skew_s`: by how much the issuer's clock and ours may differ; 60 by default.
    pub clock_skew_s: u64,
    /// `algorithms`: of those that a key allows; all of them when left out.
    pub algorithms: Option<Vec<Algorithm>>,
    /// `claims`, `attributes`, `role_names`, `required`: how its claims are read.
    pub claims: ClaimRules,
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `keys`: a JWK set in a file, read again when it changes.
    File(PathBuf),
    /// `discover = true`: the issuer publishes them at its own address.
    Published {
        /// `tls_ca`: who is believed about its certificate; without any those whom the machine believes.
        authorities: Vec<CertificateDer<'static>>,
    },
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
            read_token(&mut section, name.as_deref()).map(Box::new).map(IssuerTrust::Token)
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

fn read_token(section: &mut Section<'_>, name: Option<&str>) -> Option<TokenTrust> {
    let keys = read_keys(section, name);
    let audience = section.text("audience");
    let direct_audience = section.optional_text("direct_audience");
    if direct_audience.is_some() && direct_audience == audience {
        let message = "is `audience` too: a coordinator that is shown a token could then sign in here with it";
        section.fault("direct_audience", message);
    }
    let clock_skew_s = section.number("clock_skew_s", 0..=CLOCK_SKEW_S_MAX).unwrap_or(CLOCK_SKEW_S);
    let algorithms = read_algorithms(section);
    let claims = read_claims(section);
    Some(TokenTrust { keys: keys?, audience: audience?, direct_audience, clock_skew_s, algorithms, claims: claims? })
}

fn read_keys(section: &mut Section<'_>, name: Option<&str>) -> Option<KeySource> {
    let publishes = section.flag("discover");
    let authority = if section.has("tls_ca") { section.path("tls_ca") } else { None };
    match (publishes, section.has("keys")) {
        (false, true) => {
            let keys = section.path("keys")?;
            if let Err(error) = TokenKeys::read(&keys) {
                section.fault("keys", error.sentence());
            }
            if authority.is_some() {
                section.fault("tls_ca", "is for `discover = true`; these keys are a file");
            }
            Some(KeySource::File(keys))
        }
        (true, false) => {
            if let Some(Err(message)) = name.map(check_issuer) {
                section.fault("name", message);
            }
            let authorities = match authority.map(|file| authorities(&file)) {
                None => Vec::new(),
                Some(Ok(certificates)) => certificates,
                Some(Err(message)) => {
                    section.fault("tls_ca", message);
                    return None;
                }
            };
            Some(KeySource::Published { authorities })
        }
        (true, true) => {
            section.fault("keys", "contradicts `discover = true`: the issuer's keys are a file or what it publishes");
            None
        }
        (false, false) => {
            section
                .fault("keys", "is missing: a JWK set in a file, or `discover = true` for what the issuer publishes");
            None
        }
    }
}

/// Signatures only by keys of which the issuer alone has the private half.
fn read_algorithms(section: &mut Section<'_>) -> Option<Vec<Algorithm>> {
    const KNOWN: [(&str, Algorithm); 5] = [
        ("EdDSA", Algorithm::EdDSA),
        ("ES256", Algorithm::ES256),
        ("ES384", Algorithm::ES384),
        ("RS256", Algorithm::RS256),
        ("PS256", Algorithm::PS256),
    ];
    if !section.has("algorithms") {
        return None;
    }
    let mut allowed = Vec::new();
    for name in section.texts("algorithms")? {
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, algorithm)) => allowed.push(*algorithm),
            None => section.fault("algorithms", format!("`{name}` is none of EdDSA, ES256, ES384, RS256 and PS256")),
        }
    }
    if allowed.is_empty() {
        section.fault("algorithms", "names none");
    }
    Some(allowed)
}

fn read_claims(section: &mut Section<'_>) -> Option<ClaimRules> {
    let mut rules = ClaimRules::default();
    for (name, value) in table(section, "claims") {
        match (NAMED.iter().find(|known| **known == name), claim_path(&value)) {
            (None, _) => section.fault(
                &format!("claims.{name}"),
                format!("is none of {}; attributes stand in `attributes`", NAMED.join(", ")),
            ),
            (_, None) => section.fault(&format!("claims.{name}"), NO_PATH),
            (Some(known), Some(path)) => {
                rules.names.insert(known, path);
            }
        }
    }
    for (name, value) in table(section, "attributes") {
        match claim_path(&value) {
            Some(path) => {
                rules.attributes.insert(name, path);
            }
            None => section.fault(&format!("attributes.{name}"), NO_PATH),
        }
    }
    for (name, value) in table(section, "role_names") {
        match value {
            toml::Value::String(ours) => {
                rules.role_names.insert(name, ours);
            }
            _ => section.fault(&format!("role_names.{name}"), "must be a text: how the role is called here"),
        }
    }
    for (name, value) in table(section, "required") {
        match required(value) {
            Some(values) => {
                rules.required.insert(name, values);
            }
            None => section
                .fault(&format!("required.{name}"), "must be a text, a whole number, true or false, or a list of them"),
        }
    }
    Some(rules)
}

const NO_PATH: &str = "must be a claim's name, or a list: the names of the objects that it stands in, and its own";

fn table(section: &mut Section<'_>, key: &'static str) -> toml::Table {
    section.section(key).map(|mut inner| inner.rest()).unwrap_or_default()
}

fn claim_path(value: &toml::Value) -> Option<ClaimPath> {
    let names = match value {
        toml::Value::String(name) => vec![name.clone()],
        toml::Value::Array(names) => {
            names.iter().map(|name| name.as_str().map(str::to_string)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    (!names.is_empty() && names.iter().all(|name| !name.is_empty())).then_some(names)
}

fn required(value: toml::Value) -> Option<Vec<serde_json::Value>> {
    match value {
        toml::Value::String(text) => Some(vec![text.into()]),
        toml::Value::Integer(number) => Some(vec![number.into()]),
        toml::Value::Boolean(value) => Some(vec![value.into()]),
        toml::Value::Array(values) if !values.is_empty() => {
            let scalars: Option<Vec<_>> =
                values.into_iter().map(|value| if value.is_array() { None } else { required(value)?.pop() }).collect();
            scalars
        }
        _ => None,
    }
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

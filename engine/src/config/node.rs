//! What a site and a coordinator have in common: name, door, state, identity files, limits.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::checked::{Identifier, parse_listen};
use super::issuers::{self, IssuerConfig};
use super::limits::Limits;
use super::operations::OperationsConfig;
use super::raw::Section;
use super::tls::TlsMaterial;
use super::traces::TracesConfig;
use crate::identity::users_file::UsersFile;

/// The checked keys that every node has.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `name`: the node's name; a site's is its catalog in SQL.
    pub name: Identifier,
    /// `listen`: the address and port of the Flight SQL door; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `state`: the directory of what the node keeps; `state/<name>` beside the file by default.
    pub state: PathBuf,
    /// `plaintext` and `[tls]`: how the door is guarded.
    pub door: DoorSecurity,
    /// `[tls]`: the node's certificate, key and authority; at a coordinator also its identity towards the sites.
    pub tls: Option<TlsMaterial>,
    /// `[users] file`: those who may ask, with their passwords and the names of their certificates.
    pub users: Option<PathBuf>,
    /// `[[issuer]]`: who else is believed about users.
    pub issuers: Vec<IssuerConfig>,
    /// `[operations]`: where an operator is told how the node is; nowhere when left out.
    pub operations: Option<OperationsConfig>,
    /// `[traces]`: who is sent the spans of its statements; nobody when left out.
    pub traces: Option<TracesConfig>,
    /// `[limits]`: what is left out has its default.
    pub limits: Limits,
}

/// How the node's door is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorSecurity {
    /// TLS; who shows a certificate must have it from our authority.
    Tls,
    /// Plain text: on loopback, or because the configuration says `plaintext = true`.
    Plain,
}

/// The common keys as they are found; the name may still be missing.
pub(super) struct NodeKeys {
    name: Option<Identifier>,
    listen: Option<SocketAddr>,
    state: Option<PathBuf>,
    /// `plaintext`, as written.
    pub(super) plaintext: bool,
    /// Whether there is a `[tls]`, faulty or not.
    pub(super) has_tls: bool,
    tls: Option<TlsMaterial>,
    users: Option<PathBuf>,
    /// Whether there is a `[users]`, faulty or not.
    pub(super) has_users: bool,
    /// `[[issuer]]`, when none is faulty.
    pub(super) issuers: Option<Vec<IssuerConfig>>,
    operations: Option<OperationsConfig>,
    traces: Option<TracesConfig>,
    limits: Limits,
}

impl NodeKeys {
    /// Reads the common keys; `default_name` stands in for a missing `name`.
    pub(super) fn read(section: &mut Section<'_>, default_name: Option<&str>) -> Self {
        let name = match default_name {
            None => section.text("name"),
            Some(default) => section.optional_text("name").or_else(|| Some(default.to_string())),
        };
        let name = name.and_then(|name| checked(section, "name", Identifier::parse(&name)));
        let listen = section.text("listen").and_then(|text| checked(section, "listen", parse_listen(&text)));
        let state = read_state(section, name.as_ref());
        let plaintext = section.flag("plaintext");
        let tls = section.section("tls");
        let has_tls = tls.is_some();
        let users = section.section("users");
        let has_users = users.is_some();
        let keys = Self {
            name,
            listen,
            state,
            plaintext,
            has_tls,
            tls: tls.and_then(TlsMaterial::read),
            users: users.and_then(read_users),
            has_users,
            issuers: issuers::read(section),
            operations: section.section("operations").and_then(OperationsConfig::read),
            traces: section.section("traces").and_then(TracesConfig::read),
            limits: Limits::read(section.section("limits")),
        };
        keys.check_door(section);
        keys
    }

    /// Whether anybody can be believed about users, as far as can be told.
    pub(super) fn knows_users(&self) -> bool {
        self.has_users || self.issuers.as_ref().is_none_or(|issuers| !issuers.is_empty())
    }

    /// Plain text leaves the machine only where the configuration says so.
    fn check_door(&self, section: &Section<'_>) {
        let Some(listen) = self.listen else { return };
        if !listen.ip().is_loopback() && !self.has_tls && !self.plaintext {
            section.fault(
                "listen",
                format!(
                    "{listen} is open to the network, and without [tls] passwords and rows would cross it in plain \
                     text: add [tls], listen on 127.0.0.1, or write plaintext = true"
                ),
            );
        }
    }

    /// A certificate is a coordinator's or a user's.
    pub(super) fn check_certificates(&self, section: &Section<'_>, peers: &BTreeSet<String>) {
        // What is wrong with the file itself has been said.
        let Some(Ok(users)) = self.users.as_deref().map(UsersFile::read) else { return };
        for (certificate, user) in users.certificates() {
            if peers.iter().any(|peer| peer.eq_ignore_ascii_case(certificate)) {
                let message =
                    format!("`{certificate}` is the `certificate` of the user `{user}` too; it can be one only");
                section.fault("peers", message);
            }
        }
    }

    /// The checked keys, when none is missing.
    pub(super) fn conclude(self) -> Option<NodeConfig> {
        let door = if self.has_tls && !self.plaintext { DoorSecurity::Tls } else { DoorSecurity::Plain };
        Some(NodeConfig {
            name: self.name?,
            listen: self.listen?,
            state: self.state?,
            door,
            tls: self.tls,
            users: self.users,
            issuers: self.issuers?,
            operations: self.operations,
            traces: self.traces,
            limits: self.limits,
        })
    }
}

pub(super) fn read_state(section: &mut Section<'_>, name: Option<&Identifier>) -> Option<PathBuf> {
    let state = match section.optional_text("state") {
        Some(text) => section.file().resolve(&text),
        None => section.file().resolve("state").join(name?.as_str()),
    };
    if state.exists() && !state.is_dir() {
        section.fault("state", format!("{} is not a directory", state.display()));
        return None;
    }
    Some(state)
}

fn read_users(mut section: Section<'_>) -> Option<PathBuf> {
    let path = section.path("file");
    if let Some(Err(error)) = path.as_deref().map(UsersFile::read) {
        section.fault("file", error.sentence());
    }
    section.finish();
    path
}

/// The value, or a fault at its key.
pub(super) fn checked<T>(section: &Section<'_>, key: &str, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(|message| section.fault(key, message)).ok()
}

//! Who asks, and for which purpose: users by password, certificate, session or an issuer's token, coordinators by
//! certificate, and users through a coordinator by its delegation; and the certificates themselves.
//!
//! - [`authenticate`]: the one rule that turns what a call brings into whom this node believes.
//! - [`asker`]: who asks once believed; [`facts`]: what is known of them, under its limits; `name`: what names may be.
//! - [`credentials`]: the `authorization` header; [`session`]: bearer tokens that we issue, and chosen purposes.
//! - [`users`]: passwords and certificates checked against a file that may change while we run; [`users_file`], [`password`]: its parts;
//!   `guesses`: who waits after wrong ones.
//! - [`issuers`]: whom else this node believes about users; `token`, `json`, `claims`: their tokens; [`token_keys`],
//!   `discovery`: their keys, from a file or as they publish them.
//! - [`delegation`]: how a coordinator asks on behalf of a user; `seen`: each of them once; `clock`: at what time.
//! - [`certificate`]: what a certificate says; [`tls`]: certificates as they are renewed or revoked; [`handshakes`]: connections
//!   that show them; `path_length`: who may have signed them; [`certs`], [`revoked`]: making them, and taking them back.
//!
//! **Invariant:** a password, a key or a token is never logged, never in an error, and never in `Debug`.
//! **Invariant:** a credential that is wrong is refused; nothing weaker is tried in its place.

pub mod asker;
pub mod authenticate;
pub mod certificate;
pub mod certs;
pub mod claims;
mod clock;
pub mod credentials;
pub mod delegation;
pub(crate) mod discovery;
pub mod facts;
pub(crate) mod files;
mod guesses;
pub mod handshakes;
pub mod issuers;
mod json;
mod name;
pub mod password;
mod path_length;
mod reread;
pub mod revoked;
mod seen;
pub mod session;
#[cfg(test)]
mod test_issuer;
pub mod tls;
mod token;
pub mod token_keys;
pub mod users;
pub mod users_file;

pub use asker::{Asker, Believed, Came, Issuer, Subject};
pub use authenticate::{Authenticator, Caller, Peer, SignIn};
pub use certificate::peer_names;
pub(crate) use clock::Clock;
pub use credentials::Credentials;
pub use delegation::{About, DelegationVerifier, Delegator};
pub use issuers::{Issuers, PeerTrust};
pub use session::{OpenSession, SessionId, SessionKind, SessionProof, SessionRecord, Sessions, Settings};
pub use users::Users;

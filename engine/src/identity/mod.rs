//! Who asks: users by password or session, coordinators by certificate; and the certificates themselves.
//!
//! - [`authenticate`]: the one rule that turns what a call brings into a [`subject::Subject`].
//! - [`credentials`]: the `authorization` header; [`session`]: bearer tokens that we issue.
//! - [`users`]: passwords checked against a file that may change while we run; [`users_file`], [`password`]: its parts.
//! - [`certificate`]: what a certificate says; [`tls`]: certificates towards tonic; [`certs`]: making them.
//!
//! **Invariant:** a password, a key or a token is never logged, never in an error, and never in `Debug`.
//! **Invariant:** a credential that is wrong is refused; nothing weaker is tried in its place.

pub mod asker;
pub mod authenticate;
pub mod certificate;
pub mod certs;
pub mod credentials;
mod files;
pub mod password;
pub mod session;
pub mod subject;
pub mod tls;
pub mod users;
pub mod users_file;

pub use asker::{Asker, Came, Issuer};
pub use authenticate::{Authenticator, Caller};
pub use certificate::peer_names;
pub use credentials::Credentials;
pub use session::{OpenSession, SessionId, Sessions};
pub use subject::{Subject, SubjectKind};
pub use users::Users;

//! `[operations]`: where a node tells its operator how it is. Without it nothing is told but health at the door.

use std::net::SocketAddr;

use super::checked::parse_listen;
use super::node::checked;
use super::raw::Section;

/// A checked `[operations]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsConfig {
    /// `listen`: the address and port of the operations listener; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl OperationsConfig {
    /// Reads the section. The listener speaks plain text and asks nobody who they are: it leaves the machine only where the
    /// configuration says so.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.text("listen").and_then(|text| checked(&section, "listen", parse_listen(&text)));
        let plaintext = section.flag("plaintext");
        if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback() && !plaintext) {
            section.fault(
                "listen",
                format!(
                    "{listen} is open to the network, and whoever reaches it reads there, in plain text, how many rows \
                     statements take: listen on 127.0.0.1, or write plaintext = true where only your monitoring reaches it"
                ),
            );
        }
        section.finish();
        Some(Self { listen: listen? })
    }
}

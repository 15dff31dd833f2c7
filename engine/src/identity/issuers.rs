//! Whom this node believes about users, beside its own users file: issuers of tokens, and coordinators for their own.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::asker::Believed;
use super::clock::Clock;
use super::facts::{Claimed, Facts};
use super::name;
use super::token::{TokenIssuer, named_issuer};
use crate::config::{Extent, IssuerConfig, IssuerTrust, Limits};
use crate::error::Result;

/// Which coordinators are believed about their own users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerTrust {
    /// Those that an `[[issuer]]` with `trust = "coordinator"` names, as far as it says.
    Listed,
    /// Every peer, in everything: where no policy is enforced.
    Every,
}

/// Where a token is shown.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// At this node's own door.
    AtTheDoor,
    /// In a delegation, by the coordinator of these certificate names.
    By(&'a [String]),
}

/// The issuers of a node.
#[derive(Debug)]
pub struct Issuers {
    tokens: Vec<TokenIssuer>,
    coordinators: BTreeMap<String, Extent>,
    peers: PeerTrust,
    clock: Clock,
}

impl Issuers {
    /// Opens the issuers' keys, of those that publish them when the first token comes, and warns about coordinators that are believed about their users.
    ///
    /// # Errors
    /// `CONFIG` for keys that cannot be read.
    pub fn open(config: &[IssuerConfig], peers: PeerTrust, limits: &Limits) -> Result<Self> {
        let mut issuers = Self { tokens: Vec::new(), coordinators: BTreeMap::new(), peers, clock: Clock::default() };
        for IssuerConfig { name, trust, extent } in config {
            match trust {
                IssuerTrust::Token(trust) => issuers.tokens.push(TokenIssuer::open(name, extent, trust, limits)?),
                IssuerTrust::Coordinator => {
                    tracing::warn!(coordinator = name, "believed about its own users: it can name any user it likes");
                    issuers.coordinators.insert(name.to_ascii_lowercase(), extent.clone());
                }
            }
        }
        Ok(issuers)
    }

    /// The same issuers at a clock that tells no time before this: what it told before the process began.
    #[must_use]
    pub fn not_before(self, floor: SystemTime) -> Self {
        Self { clock: Clock::not_before(floor), ..self }
    }

    /// Has the keys fetched that the token may need, before [`Issuers::by_token`]; nothing of it is believed by that.
    pub async fn ready(&self, token: &str) {
        if let Some(name) = named_issuer(token)
            && let Some(issuer) = self.tokens.iter().find(|issuer| issuer.name == name)
        {
            issuer.ready(token).await;
        }
    }

    /// The user of a token; the error is for the log.
    pub fn by_token(&self, token: &str, shown: Shown<'_>) -> Result<Believed, &'static str> {
        let name = named_issuer(token).ok_or("the token cannot be read or names no issuer")?;
        let issuer = self.tokens.iter().find(|issuer| issuer.name == name).ok_or("the issuer is not believed here")?;
        let now = self.now();
        let believed = issuer.verify(token, shown, now)?;
        Ok(Believed { ends: believed.ends.map(|ends| on_the_machine(ends, now)), ..believed })
    }

    /// Now, by a clock that never goes back.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The user that a coordinator with these certificate names vouches for; the error is for the log.
    pub fn by_coordinator(&self, names: &[String], claimed: Claimed) -> Result<Believed, &'static str> {
        let listed = names.iter().find_map(|name| self.coordinators.get(name));
        let extent = match (listed, self.peers) {
            (Some(extent), _) => extent,
            (None, PeerTrust::Every) => &Extent::WHOLE,
            (None, PeerTrust::Listed) => return Err("the coordinator is not believed about its own users"),
        };
        name::check_local(&claimed.name).map_err(|_| "the user's name can be none of a users file")?;
        let name = claimed.name.clone();
        let facts = Facts::from(claimed);
        facts.check().map_err(|_| "a claim is over a limit")?;
        Ok(Believed::user(facts.within(extent, &name)?.into_subject(name)))
    }
}

/// A moment as the machine's clock will tell it, which has been set back behind ours, or not: streams end by that clock.
fn on_the_machine(moment: SystemTime, now: SystemTime) -> SystemTime {
    /// Clocks are slewed all the time.
    const SET_BACK_MIN: Duration = Duration::from_secs(1);
    let behind = now.duration_since(SystemTime::now()).unwrap_or_default();
    if behind < SET_BACK_MIN { moment } else { moment.checked_sub(behind).unwrap_or(moment) }
}

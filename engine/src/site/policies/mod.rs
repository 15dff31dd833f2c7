//! Where a site's policy lives: what is in force, how it changes, and what time it is for it.
//!
//! ```text
//! tables     what statements are checked against: the tables of the sources now
//! change     one statement → one version, durable before it is answered; or what is in force, told
//! directory  files → one version, or the last good one as long as they are wrong
//!   └─ files  a directory, read whole and at rest
//! record     a version comes to be in force: written down, and in the site's record
//! clock      time that does not go back
//! usage      LIMIT … PER DAY
//! store      the SQLite file under all of it
//!   └─ kept    a copy of it, and whether it can be used
//! ```
//!
//! **Invariant:** what is in force was written to the disk before, and a restart brings exactly that back; less is in force
//! only while files cannot be put in force that take something away, which a restart reads again.
//!
//! **Invariant:** what gives anybody more is in force only when the site's record has it. What only takes rights away is in
//! force all the same, and is owed to the record.
//!
//! **Invariant:** what cannot be read permits nothing (P4): [`Current::set`] is then the empty set.

mod change;
mod clock;
mod directory;
pub mod files;
pub mod kept;
mod record;
mod store;
pub mod tables;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use parking_lot::Mutex;
use policy::decision::GrantedBy;
use policy::pseudonym::PseudonymKeys;
use policy::set::PolicySet;
use policy::time::Instant;
use tokio::sync::watch;

use self::clock::{SiteClock, day_of};
use self::directory::Watch;
use self::store::{FILE, Kept, Store, StoreError};
use self::tables::SiteTables;
use self::usage::Usage;
use crate::audit::AuditLog;
use crate::config::{Enforcement, PolicyConfig, SiteConfig};
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;
use crate::identity::asker::Came;

pub use self::change::columns;
pub use self::clock::{ReadClock, machine_clock};

/// How often the directory is looked at, and use and time are written down.
const BEAT: Duration = Duration::from_millis(500);
/// How much time passes at most until it is written down, at the next beat: the most that a crash and a clock set back can
/// win, by a clock that goes, and by one that is set ahead and back.
const FLOOR_MICROSECONDS: i64 = 5_000_000;

/// What becomes of a policy that makes pseudonyms where no secret is configured.
pub const NO_SECRET: &str =
    "this site has no secret for pseudonyms ([pseudonyms]), so tables with such a column are denied";

/// The policies of a site.
#[derive(Debug)]
pub struct Policies {
    site: String,
    config: PolicyConfig,
    keys: Option<Arc<PseudonymKeys>>,
    tables: SiteTables,
    /// Missing when the file cannot be used; then nothing is permitted and nothing can be changed.
    store: Option<Store>,
    /// Where changes are recorded; missing where nothing is enforced.
    audit: Option<Arc<AuditLog>>,
    clock: SiteClock,
    usage: Usage,
    current: watch::Sender<Arc<Current>>,
    /// Held while one version becomes the next; the digest of the files that made the version, if files did.
    turn: Mutex<Option<String>>,
    /// Looks after the directory and the state; ends with the policies.
    keeper: OnceLock<SpawnedTask<()>>,
}

/// What is in force.
#[derive(Debug, Default)]
pub struct Current {
    /// The policies; the empty set, which permits nothing, when they cannot be read.
    pub set: Arc<PolicySet>,
    /// Why they cannot be read; for administrators.
    pub unreadable: Option<String>,
}

impl Current {
    /// The policies, for those who must know the difference between nothing and nothing that can be read.
    ///
    /// # Errors
    /// `POLICY`, for administrators.
    pub fn readable(&self) -> Result<&Arc<PolicySet>> {
        match &self.unreadable {
            None => Ok(&self.set),
            Some(why) => Err(EngineError::new(
                Code::Policy,
                format!(
                    "the policies of this site cannot be read, so nothing is permitted ({why}): put {FILE} back from a \
                     backup, and start the site again"
                ),
            )),
        }
    }
}

impl Policies {
    /// Opens what the site keeps in its state directory; changes are recorded in `audit`. State that cannot be read is no
    /// error: the site then runs and permits nothing.
    ///
    /// # Errors
    /// `INTERNAL` when there are no threads.
    pub async fn open(config: &SiteConfig, tables: SiteTables, audit: Option<Arc<AuditLog>>) -> Result<Arc<Self>> {
        Self::open_with_clock(config, tables, audit, machine_clock()).await
    }

    /// The same, by another clock than the machine's.
    ///
    /// # Errors
    /// As [`Policies::open`].
    pub async fn open_with_clock(
        config: &SiteConfig,
        tables: SiteTables,
        audit: Option<Arc<AuditLog>>,
        read: ReadClock,
    ) -> Result<Arc<Self>> {
        warn(config);
        let state = config.node.state.clone();
        let record = audit.clone();
        let opened = blocking(move || Opened::new(&state, record.as_ref(), read)).await?;
        let Opened { store, kept, clock, usage, unreadable } = opened;
        let mut watch = config.policy.directory.clone().filter(|_| store.is_some()).map(Watch::new);
        let policies = Arc::new(Self {
            site: config.node.name.as_str().to_string(),
            config: config.policy.clone(),
            keys: config.pseudonyms.clone(),
            tables,
            store,
            audit,
            clock,
            usage,
            current: watch::Sender::new(Arc::new(Current { set: Arc::new(kept.set), unreadable })),
            turn: Mutex::new(kept.files),
            keeper: OnceLock::new(),
        });
        if let Some(watch) = &mut watch {
            policies.load_at_start(watch).await?;
        }
        policies.keeper.get_or_init(|| SpawnedTask::spawn(keep(Arc::downgrade(&policies), watch)));
        Ok(policies)
    }

    /// What is in force now. Keep it for as long as one statement runs (P7).
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    /// Wakes at each change of what is in force.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    /// The time, for every decision: the machine's, but never earlier than it once was, whatever happened since.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The keys of pseudonyms; without them a column under one is denied.
    pub fn keys(&self) -> Option<Arc<PseudonymKeys>> {
        self.keys.clone()
    }

    /// Whether the site decides what leaves it.
    pub fn enforcement(&self) -> Enforcement {
        self.config.enforcement
    }

    /// Whether the asker may write policy and see all of it: by a role, and at this node's own door only.
    pub fn is_administrator(&self, asker: &Asker) -> bool {
        asker.came == Came::Directly && !asker.subject.roles.is_disjoint(&self.config.administrators)
    }

    /// Counts rows and bytes that are about to leave by these grants, for the limits per day of each.
    ///
    /// # Errors
    /// `CAP` when they would go beyond a limit of one; they are counted for none then, and must not leave.
    pub fn charge(&self, grants: &[GrantedBy], subject: &str, rows: u64, bytes: u64) -> Result<()> {
        self.usage.charge(self.now(), grants, subject, (rows, bytes))
    }

    /// Writes down what was used so far; at the end of a statement.
    pub async fn flush(self: &Arc<Self>) {
        let policies = Arc::clone(self);
        if let Err(error) = blocking(move || policies.write_down()).await {
            tracing::error!("{}", error.chain());
        }
    }

    /// The time and the use, to the disk.
    fn write_down(&self) {
        let Some(store) = &self.store else { return };
        let (now, used) = (self.now(), self.usage.unwritten());
        match store.write(now, &used) {
            Ok(()) => {
                self.clock.is_written(now);
                self.usage.succeeded();
            }
            Err(error) => {
                tracing::error!(site = self.site, "the site cannot write its state: {error}");
                self.usage.failed(used);
            }
        }
    }

    fn store(&self) -> Result<&Store> {
        self.store.as_ref().ok_or_else(|| EngineError::new(Code::Policy, "the site cannot use its state"))
    }
}

impl Drop for Policies {
    /// What was used since the last beat is not forgotten either.
    fn drop(&mut self) {
        self.write_down();
    }
}

/// What the state directory has.
struct Opened {
    store: Option<Store>,
    kept: Kept,
    clock: SiteClock,
    usage: Usage,
    unreadable: Option<String>,
}

impl Opened {
    fn new(state: &std::path::Path, audit: Option<&Arc<AuditLog>>, read: ReadClock) -> Self {
        Self::readable(state, audit, Arc::clone(&read)).unwrap_or_else(|error| {
            let unreadable = format!("{}: {error}", state.join(FILE).display());
            tracing::error!("the policies cannot be read, so nothing is permitted: {unreadable}");
            let clock = SiteClock::new(read, None);
            let usage = Usage::new(Vec::new(), clock.now());
            Self { store: None, kept: Kept::default(), clock, usage, unreadable: Some(unreadable) }
        })
    }

    fn readable(state: &std::path::Path, audit: Option<&Arc<AuditLog>>, read: ReadClock) -> Result<Self, StoreError> {
        let store = Store::open(state)?;
        audit.map(|audit| record::settle(&store, audit)).transpose()?;
        let kept = store.kept()?;
        let clock = SiteClock::new(read, store.floor()?);
        let now = clock.now();
        let usage = Usage::new(store.usage(day_of(now))?, now);
        Ok(Self { store: Some(store), kept, clock, usage, unreadable: None })
    }
}

/// Looks after the policies for as long as they are there.
async fn keep(policies: Weak<Policies>, mut watch: Option<Watch>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(policies) = policies.upgrade() else { return };
        if policies.usage.is_pending() || policies.clock.is_unwritten_for(FLOOR_MICROSECONDS) {
            policies.flush().await;
        }
        if let Some(watch) = &mut watch
            && let Err(error) = policies.look(watch).await
        {
            tracing::error!("{}", error.chain());
        }
    }
}

/// What the operator should know at start.
fn warn(config: &SiteConfig) {
    let site = config.node.name.as_str();
    if config.policy.enforcement == Enforcement::Off {
        tracing::warn!(
            site,
            "policy is not enforced: every table leaves in the clear, to every user and coordinator (`enforce = false`)"
        );
    } else if config.policy.administrators.is_empty() && config.policy.directory.is_none() {
        tracing::warn!(
            site,
            "nobody can write policy here, and without one nothing leaves: name `administrators` or a `directory` in \
             [policy]"
        );
    }
}

/// Work that waits for a disk. It runs to its end, whether or not somebody waits for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(EngineError::internal)
}

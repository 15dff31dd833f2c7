//! Users by password or by certificate, from a file that `chancery user` may change while the node runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use super::asker::Believed;
use super::guesses::Guesses;
use super::password::StoredPassword;
use super::reread::Reread;
use super::users_file::{User, UsersFile};
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

/// A user who was believed, and by what: a session opened with it ends when that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// The user.
    pub user: Believed,
    /// The digest of the stored password.
    pub by: blake3::Hash,
}

/// The users of a node.
#[derive(Debug)]
pub struct Users {
    file: Reread<UsersFile>,
    proofs: Proofs,
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    guesses: Guesses,
    /// Checked in place of a user who is not there, so that the answer takes as long.
    stand_in: Arc<StoredPassword>,
}

impl Users {
    /// Opens the users file. Takes some 50 ms of a core.
    ///
    /// # Errors
    /// `CONFIG` when it cannot be read.
    pub fn open(path: impl Into<PathBuf>, limits: &Limits) -> Result<Self> {
        Ok(Self {
            file: Reread::open(path.into(), UsersFile::read)?,
            proofs: Proofs::new(limits)?,
            hashing: Arc::new(Semaphore::new(limits.password_checks_max)),
            waiting: Arc::new(Semaphore::new(limits.password_checks_max.saturating_add(limits.password_queue_max))),
            guesses: Guesses::new(limits),
            stand_in: Arc::new(StoredPassword::hash("nobody has this password")?),
        })
    }

    /// Believes a user by password, or does not; the answer does not tell whether there is such a user.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`; `BUSY` when too many passwords wait to be checked, or there were too many wrong ones.
    pub async fn verify(&self, name: &str, password: &str, from: Option<IpAddr>) -> Result<Proven> {
        let attempt = self.guesses.turn(name, from).await?;
        let proven = self.verify_now(name, password).await;
        match &proven {
            Ok(_) => attempt.was_right(),
            Err(error) if error.code() == Code::Unauthenticated => attempt.was_wrong(),
            Err(_) => {}
        }
        proven
    }

    async fn verify_now(&self, name: &str, password: &str) -> Result<Proven> {
        // Whoever has a certificate only is not there: the stand-in's password must not be theirs.
        let has_password = |user: &&User| !user.disabled && user.password.is_some();
        let user = self.file.current().find(name).filter(has_password).cloned();
        let key = self.proofs.key_of(user.as_ref(), password);
        if let Some(proven) = user.as_ref().filter(|_| self.proofs.has(&key)).and_then(proven) {
            return Ok(proven);
        }
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let stored = stored.map_or_else(|| Arc::clone(&self.stand_in), Arc::new);
        let matches = self.check(stored, password.to_string()).await?;
        let proven = user.as_ref().filter(|_| matches).and_then(proven).ok_or_else(not_believed)?;
        self.proofs.add(key);
        Ok(proven)
    }

    /// The user whose certificate carries one of these names, which TLS has verified, if not disabled and the only one.
    pub fn find_certified(&self, names: &[String]) -> Option<Believed> {
        let users = self.file.current();
        users.find_by_certificate(names).filter(|user| !user.disabled).map(User::believed)
    }

    /// The user of a session, if still there, not disabled, and with the same password.
    pub fn find_proven(&self, name: &str, by: blake3::Hash) -> Option<Believed> {
        let users = self.file.current();
        let user = users.find(name).filter(|user| !user.disabled)?;
        proven(user).filter(|now| now.by == by).map(|now| now.user)
    }

    /// Hashes on a thread that may block; how many do, and how many wait, is limited.
    async fn check(&self, stored: Arc<StoredPassword>, password: String) -> Result<bool> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            EngineError::new(Code::Busy, "too many passwords are being checked at this server; try again later")
        })?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(EngineError::internal)?;
        let check = move || {
            // Held here, not by the caller: a caller who goes away does not stop the hashing.
            let _held = (place, turn);
            stored.matches(&password)
        };
        tokio::task::spawn_blocking(check).await.map_err(EngineError::internal)
    }
}

/// By the password that the user has, if there is one.
fn proven(user: &User) -> Option<Proven> {
    let by = blake3::hash(user.password.as_ref()?.to_text().as_bytes());
    Some(Proven { user: user.believed(), by })
}

fn not_believed() -> EngineError {
    EngineError::new(Code::Unauthenticated, "the user name or the password is wrong")
}

/// Passwords found right of late, as keyed hashes: clients that send Basic with every call must not cost 50 ms each.
struct Proofs {
    key: [u8; 32],
    until: Mutex<HashMap<blake3::Hash, Instant>>,
    lifetime: Duration,
    proofs_max: usize,
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").finish_non_exhaustive()
    }
}

impl Proofs {
    fn new(limits: &Limits) -> Result<Self> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| EngineError::defect("the system has no randomness"))?;
        Ok(Self {
            key,
            until: Mutex::default(),
            lifetime: Duration::from_secs(limits.password_proof_lifetime_s),
            proofs_max: limits.password_proofs_max,
        })
    }

    /// Stands for this password together with the stored hash, so that a change of either makes another proof.
    fn key_of(&self, user: Option<&User>, password: &str) -> blake3::Hash {
        let stored = user.and_then(|user| user.password.as_ref()).map(StoredPassword::to_text).unwrap_or_default();
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(stored.len() as u64).to_le_bytes()).update(stored.as_bytes()).update(password.as_bytes());
        hasher.finalize()
    }

    fn has(&self, key: &blake3::Hash) -> bool {
        self.until.lock().get(key).is_some_and(|until| Instant::now() < *until)
    }

    fn add(&self, key: blake3::Hash) {
        let now = Instant::now();
        let mut until = self.until.lock();
        if until.len() >= self.proofs_max {
            until.retain(|_, end| now < *end);
        }
        // Still full: forget them all. Each costs its user one more hashing, and there is nothing to keep in order.
        if until.len() >= self.proofs_max {
            until.clear();
        }
        until.insert(key, now + self.lifetime);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::users_file;
    use super::*;

    struct Fixture {
        directory: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let fixture = Self { directory: tempfile::tempdir().unwrap() };
            users_file::add(&fixture.path(), "ana", "right", BTreeSet::from(["reader".to_string()])).unwrap();
            fixture
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("users.toml")
        }

        fn open(&self) -> Users {
            Users::open(self.path(), &Limits::default()).unwrap()
        }
    }

    #[tokio::test]
    async fn a_user_is_believed_by_the_right_password_only() {
        let users = Fixture::new().open();
        let ana = users.verify("ana", "right", None).await.unwrap();
        assert_eq!(ana.user.subject.name, "ana");
        let wrong = users.verify("ana", "wrong", None).await.unwrap_err();
        let unknown = users.verify("bob", "right", None).await.unwrap_err();
        assert_eq!(wrong.to_string(), unknown.to_string(), "an answer does not tell who is known");
        assert_eq!(wrong.code(), Code::Unauthenticated);
        let stand_in = users.verify("bob", "nobody has this password", None).await.unwrap_err();
        assert_eq!(stand_in.code(), Code::Unauthenticated, "the stand-in is no way in");
    }

    #[tokio::test]
    async fn the_second_time_is_quick_and_the_second_password_is_not_taken() {
        let users = Fixture::new().open();
        users.verify("ana", "right", None).await.unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            users.verify("ana", "right", None).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} for 100 remembered proofs", start.elapsed());
        users.verify("ana", "wrong", None).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_change_of_the_file_takes_effect_at_once() {
        let fixture = Fixture::new();
        let users = fixture.open();
        let before = users.verify("ana", "right", None).await.unwrap();
        users_file::set_password(&fixture.path(), "ana", "new").unwrap();
        users.verify("ana", "right", None).await.unwrap_err();
        assert_eq!(users.find_proven("ana", before.by), None, "sessions opened with the old password end");
        let after = users.verify("ana", "new", None).await.unwrap();
        assert!(users.find_proven("ana", after.by).is_some());
        let disabled = std::fs::read_to_string(fixture.path()).unwrap() + "disabled = true\n";
        std::fs::write(fixture.path(), disabled).unwrap();
        users.verify("ana", "new", None).await.unwrap_err();
        assert_eq!(users.find_proven("ana", after.by), None);
    }

    #[tokio::test]
    async fn a_user_with_a_certificate_only_has_no_password_to_guess() {
        let fixture = Fixture::new();
        users_file::set(&fixture.path(), "ana", |user| {
            user.password = None;
            user.certificate = Some("ana.example".to_string());
        })
        .unwrap();
        let users = fixture.open();
        for password in ["right", "nobody has this password", ""] {
            let refused = users.verify("ana", password, None).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        let by = |name: &str| users.find_certified(&[name.to_string()]).map(|user| user.subject.name);
        assert_eq!((by("ana.example").as_deref(), by("ana")), (Some("ana"), None));
        users_file::set(&fixture.path(), "ana", |user| user.disabled = true).unwrap();
        assert_eq!(by("ana.example"), None);
    }

    #[tokio::test]
    async fn a_broken_file_leaves_the_last_good_one() {
        let fixture = Fixture::new();
        let users = fixture.open();
        std::fs::write(fixture.path(), "[[user]\n").unwrap();
        users.verify("ana", "right", None).await.unwrap();
        Users::open(fixture.path(), &Limits::default()).unwrap_err();
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_are_told_to_wait() {
        let fixture = Fixture::new();
        let limits = Limits { password_checks_max: 1, password_queue_max: 1, ..Limits::default() };
        let users = Users::open(fixture.path(), &limits).unwrap();
        let all = futures::future::join_all((0..8).map(|_| users.verify("ana", "wrong", None))).await;
        let busy = all.iter().filter(|one| one.as_ref().is_err_and(|error| error.code() == Code::Busy)).count();
        assert_eq!(busy, 6);
        users.verify("ana", "right", None).await.unwrap();
    }
}

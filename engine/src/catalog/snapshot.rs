//! What the coordinator keeps of each site: one view for each kind of asker, as the site gave it to them. Planning reads it
//! and waits for no site that has answered the same asker before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;

use crate::catalog::known_tables::KnownTables;
use crate::catalog::site_table::{Origin, SiteId, SiteTable};
use crate::catalog::view::View;
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;
use crate::peer::{Peers, SitePeer};

/// How old a view must be before an unknown name is reason to ask the site again.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// The views of all sites.
#[derive(Debug)]
pub struct Snapshots {
    sites: BTreeMap<SiteId, SiteViews>,
}

/// The views of one site.
#[derive(Debug)]
struct SiteViews {
    peer: Arc<SitePeer>,
    views: Mutex<HashMap<Viewer, Arc<Snapshot>>>,
    /// When the site last did not answer, and how.
    failure: Arc<RwLock<Option<(Instant, EngineError)>>>,
    pace: Pace,
    views_max: usize,
}

/// How often a site is asked.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// For how long a site that did not answer is taken to be down, so that nobody waits for it one by one.
    retry_after: Duration,
    /// How old a view may become before it is asked for again, behind the back of the statement that uses it.
    refresh_after: Duration,
}

/// Who sees the same of every site: all that a decision may depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Viewer(blake3::Hash);

impl Viewer {
    /// The one that an asker is.
    ///
    /// # Errors
    /// When the asker cannot be told from others: a defect.
    pub fn of(asker: &Asker) -> Result<Self> {
        let told = serde_json::to_vec(&(&asker.subject, &asker.purpose)).map_err(EngineError::internal)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&told).update(format!("{:?}", asker.issuer).as_bytes());
        Ok(Self(hasher.finalize()))
    }

    /// What tells it from all others.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// One viewer's view of one site.
#[derive(Debug)]
struct Snapshot {
    peer: Arc<SitePeer>,
    known: RwLock<Option<Arc<KnownView>>>,
    last_used: Mutex<Instant>,
    /// Held while the site is asked, so that many statements ask once.
    asking: tokio::sync::Mutex<()>,
    /// The task that asks behind a statement's back.
    renewal: Mutex<JoinSet<()>>,
    failure: Arc<RwLock<Option<(Instant, EngineError)>>>,
    pace: Pace,
}

/// A view as it was at one moment.
#[derive(Debug)]
pub struct KnownView {
    /// The tables.
    pub tables: KnownTables,
    /// Whether the site keeps a record that can be read.
    pub keeps_record: bool,
    /// Why nothing is visible, when it is the purpose.
    purpose: Option<String>,
    taken: Instant,
}

impl KnownView {
    fn decode(view: View) -> Result<Self> {
        let View { tables, keeps_record, purpose, .. } = view;
        Ok(Self { tables: KnownTables::new(tables)?, keeps_record, purpose, taken: Instant::now() })
    }
}

impl Snapshots {
    /// Nothing known yet of any of the peers.
    pub fn new(peers: &Peers, limits: &Limits) -> Arc<Self> {
        let pace = Pace {
            retry_after: Duration::from_millis(limits.view_retry_interval_ms),
            refresh_after: Duration::from_millis(limits.view_refresh_interval_ms),
        };
        let site = |peer: &Arc<SitePeer>| SiteViews {
            peer: Arc::clone(peer),
            views: Mutex::default(),
            failure: Arc::default(),
            pace,
            views_max: limits.views_per_site_max,
        };
        Arc::new(Self { sites: peers.all().into_iter().map(|peer| (peer.site().clone(), site(peer))).collect() })
    }

    /// The names of the sites, sorted.
    pub fn sites(&self) -> impl Iterator<Item = &SiteId> {
        self.sites.keys()
    }

    /// What the asker sees of every site; a site that was never asked for them is asked now, one that does not answer
    /// is left out.
    ///
    /// # Errors
    /// When the asker cannot be told from others: a defect.
    pub async fn all(&self, asker: &Arc<Asker>) -> Result<Vec<(SiteId, Arc<KnownView>)>> {
        let viewer = Viewer::of(asker)?;
        let views = join_all(self.sites.iter().map(|(site, views)| {
            let snapshot = views.of(&viewer);
            async move {
                match snapshot.view(asker).await {
                    Ok(view) => Some((site.clone(), view)),
                    Err(error) => {
                        tracing::warn!("{error}");
                        None
                    }
                }
            }
        }))
        .await;
        Ok(views.into_iter().flatten().collect())
    }

    /// What the asker sees of one site.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE` when the site has never answered the asker and does not answer now.
    pub async fn view(&self, asker: &Arc<Asker>, site: &SiteId) -> Result<Arc<KnownView>> {
        let views = self.sites.get(site).ok_or_else(|| EngineError::defect("a site that is not configured"))?;
        views.of(&Viewer::of(asker)?).view(asker).await
    }

    /// Whether these are the views that the viewer's statements are planned with now.
    pub async fn stand(&self, asker: &Arc<Asker>, viewer: &Viewer, views: &[(SiteId, Weak<KnownView>)]) -> bool {
        for (site, planned_with) in views {
            let Some(views) = self.sites.get(site) else { return false };
            match views.of(viewer).view(asker).await {
                Ok(now) if std::ptr::eq(planned_with.as_ptr(), Arc::as_ptr(&now)) => {}
                _ => return false,
            }
        }
        true
    }

    /// The same, where that is known without asking a site or renewing a view.
    pub fn stand_now(&self, viewer: &Viewer, views: &[(SiteId, Weak<KnownView>)]) -> bool {
        views.iter().all(|(site, planned_with)| {
            self.sites.get(site).is_some_and(|views| views.of(viewer).is_of_now(planned_with))
        })
    }

    /// The table of that name as the planner needs it, and the view that it is of; `None` when the asker sees none.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE` when the site has never answered the asker and does not answer now; `PURPOSE` when the site
    /// shows the asker nothing else without another purpose, whatever table is asked for.
    pub async fn table(
        &self,
        asker: &Arc<Asker>,
        name: (&str, &str, &str),
    ) -> Result<Option<(SiteTable, Arc<KnownView>)>> {
        let (site, source, table) = name;
        let id = SiteId::new(site);
        let Some(views) = self.sites.get(&id) else { return Ok(None) };
        let snapshot = views.of(&Viewer::of(asker)?);
        let mut view = snapshot.view(asker).await?;
        let mut known = view.tables.get(source, table)?;
        if known.is_none() && view.taken.elapsed() > SECOND_LOOK_AFTER {
            // It may be new; when the site does not answer, what is known stands.
            view = snapshot.ask_again(asker, Instant::now()).await.unwrap_or(view);
            known = view.tables.get(source, table)?;
        }
        if let Some(refusal) = view.purpose.as_ref().filter(|_| known.is_none()) {
            return Err(EngineError::new(Code::Purpose, format!("site {id} says: {refusal}")));
        }
        Ok(known.map(|known| {
            let (source, table) = (source.to_string(), table.to_string());
            let origin = Origin { catalog: None, source, table, version: known.version.clone() };
            let table = SiteTable::new(id, Arc::clone(&known.schema), known.statistics.clone())
                .with_origin(origin)
                .with_treatment(Arc::clone(&known.treatment))
                .with_key(known.key());
            (table, Arc::clone(&view))
        }))
    }

    /// Asks these sites again where what is known of them is not of just now, because a name was not found; whether any of
    /// them has been asked.
    ///
    /// # Errors
    /// When the asker cannot be told from others: a defect.
    pub async fn look_again(&self, asker: &Arc<Asker>, sites: Vec<SiteId>) -> Result<bool> {
        let viewer = Viewer::of(asker)?;
        let mut has_looked = false;
        for snapshot in sites.iter().filter_map(|site| self.sites.get(site)).map(|views| views.of(&viewer)) {
            let is_old = |view: &Arc<KnownView>| view.taken.elapsed() > SECOND_LOOK_AFTER;
            if snapshot.known.read().as_ref().is_some_and(is_old) {
                has_looked |= snapshot.ask_again(asker, Instant::now()).await.is_ok();
            }
        }
        Ok(has_looked)
    }

    /// Asks these sites again, because one of them said that its view has moved on.
    ///
    /// # Errors
    /// The first site that does not answer.
    pub async fn refresh(&self, asker: &Arc<Asker>, sites: Vec<SiteId>) -> Result<()> {
        let since = Instant::now();
        let viewer = Viewer::of(asker)?;
        for site in sites {
            if let Some(views) = self.sites.get(&site) {
                views.of(&viewer).ask_again(asker, since).await?;
            }
        }
        Ok(())
    }
}

impl SiteViews {
    /// The viewer's snapshot; when there are too many, the one that was not used for longest makes room.
    fn of(&self, viewer: &Viewer) -> Arc<Snapshot> {
        let mut views = self.views.lock();
        if !views.contains_key(viewer) && views.len() >= self.views_max {
            let oldest =
                views.iter().min_by_key(|(_, snapshot)| *snapshot.last_used.lock()).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                views.remove(&oldest);
            }
        }
        let snapshot = views.entry(viewer.clone()).or_insert_with(|| {
            Arc::new(Snapshot {
                peer: Arc::clone(&self.peer),
                known: RwLock::default(),
                last_used: Mutex::new(Instant::now()),
                asking: tokio::sync::Mutex::default(),
                renewal: Mutex::default(),
                failure: Arc::clone(&self.failure),
                pace: self.pace,
            })
        });
        *snapshot.last_used.lock() = Instant::now();
        Arc::clone(snapshot)
    }
}

impl Snapshot {
    async fn view(self: &Arc<Self>, asker: &Arc<Asker>) -> Result<Arc<KnownView>> {
        let known = self.known.read().clone();
        match known {
            Some(view) => {
                if view.taken.elapsed() > self.pace.refresh_after {
                    self.renew(asker);
                }
                Ok(view)
            }
            None => self.ask_again(asker, Instant::now()).await,
        }
    }

    /// Whether this is the view, and none that is to be renewed.
    fn is_of_now(&self, view: &Weak<KnownView>) -> bool {
        let known = self.known.read();
        let known = known.as_ref().filter(|known| known.taken.elapsed() <= self.pace.refresh_after);
        known.is_some_and(|known| std::ptr::eq(view.as_ptr(), Arc::as_ptr(known)))
    }

    /// Asks again while the statement goes on with what is known.
    fn renew(self: &Arc<Self>, asker: &Arc<Asker>) {
        let mut renewal = self.renewal.lock();
        while renewal.try_join_next().is_some() {}
        if !renewal.is_empty() {
            return;
        }
        let (snapshot, asker) = (Arc::downgrade(self), Arc::clone(asker));
        renewal.spawn(async move {
            if let Some(snapshot) = snapshot.upgrade()
                && let Err(error) = snapshot.ask_again(&asker, Instant::now()).await
            {
                tracing::warn!("{error}");
            }
        });
    }

    /// The site's view, newer than `since`.
    async fn ask_again(&self, asker: &Arc<Asker>, since: Instant) -> Result<Arc<KnownView>> {
        let _one_at_a_time = self.asking.lock().await;
        if let Some(view) = self.known.read().clone().filter(|view| view.taken > since) {
            return Ok(view);
        }
        if let Some((when, error)) = self.failure.read().as_ref()
            && when.elapsed() < self.pace.retry_after
        {
            return Err(error.duplicate());
        }
        let asked = self.ask(asker).await;
        let down = asked.as_ref().err().filter(|error| error.code() == Code::SiteUnavailable);
        *self.failure.write() = down.map(|error| (Instant::now(), error.duplicate()));
        asked
    }

    async fn ask(&self, asker: &Arc<Asker>) -> Result<Arc<KnownView>> {
        let view = Arc::new(KnownView::decode(self.peer.view(asker).await?).map_err(|error| {
            EngineError::new(Code::SiteProtocol, format!("site {}: {}", self.peer.site(), error.sentence()))
        })?);
        *self.known.write() = Some(Arc::clone(&view));
        Ok(view)
    }
}

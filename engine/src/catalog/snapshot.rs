//! What the coordinator keeps of each site's view. Planning reads it and waits for no site that has answered before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::runtime::SpawnedTask;
use futures::future::join_all;
use parking_lot::RwLock;
use tokio::time::sleep;

use crate::catalog::site_table::{Origin, SiteId, SiteTable};
use crate::catalog::view::{View, ViewTable};
use crate::error::{Code, EngineError, Result};
use crate::identity::{Asker, Subject};
use crate::peer::{Peers, SitePeer};

/// How old a view must be before an unknown name is reason to ask the site again.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// The views of all sites.
#[derive(Debug)]
pub struct Snapshots {
    sites: BTreeMap<SiteId, Arc<Snapshot>>,
}

#[derive(Debug)]
struct Snapshot {
    peer: Arc<SitePeer>,
    known: RwLock<Option<Arc<KnownView>>>,
    /// Held while the site is asked, so that many statements ask once.
    asking: tokio::sync::Mutex<()>,
    /// When the site last did not answer, and how.
    failure: RwLock<Option<(Instant, EngineError)>>,
    /// For how long a site that did not answer is taken to be down.
    retry_after: Duration,
}

/// A view as it was at one moment.
#[derive(Debug)]
pub struct KnownView {
    /// The tables by source and name.
    pub tables: BTreeMap<(String, String), KnownTable>,
    taken: Instant,
}

/// A table of a view.
#[derive(Debug)]
pub struct KnownTable {
    /// The columns.
    pub schema: SchemaRef,
    /// What the owner says about it.
    pub comment: Option<String>,
    statistics: Statistics,
    version: String,
}

impl KnownView {
    fn decode(view: &View) -> Result<Self> {
        let tables = view.tables.iter().map(KnownTable::decode).collect::<Result<_>>()?;
        Ok(Self { tables, taken: Instant::now() })
    }
}

impl KnownTable {
    fn decode(table: &ViewTable) -> Result<((String, String), Self)> {
        let (schema, statistics) = table.decode()?;
        let known = Self { schema, statistics, comment: table.comment.clone(), version: table.version.clone() };
        Ok(((table.source.clone(), table.name.clone()), known))
    }
}

impl Snapshots {
    /// Nothing known yet of any of the peers.
    ///
    /// A site that does not answer is taken to be down for `retry_after`, so that nobody waits for it one by one.
    pub fn new(peers: &Peers, retry_after: Duration) -> Arc<Self> {
        let sites = peers
            .all()
            .into_iter()
            .map(|peer| {
                let snapshot = Snapshot {
                    peer: Arc::clone(peer),
                    known: RwLock::default(),
                    asking: tokio::sync::Mutex::default(),
                    failure: RwLock::default(),
                    retry_after,
                };
                (peer.site().clone(), Arc::new(snapshot))
            })
            .collect();
        Arc::new(Self { sites })
    }

    /// Asks every site now and then every so often, until the task is dropped. A site that does not answer keeps its
    /// last view.
    pub fn refresh_every(self: &Arc<Self>, interval: Duration, retry_after: Duration) -> SpawnedTask<()> {
        let snapshots = Arc::clone(self);
        SpawnedTask::spawn(async move {
            loop {
                let asked = snapshots.sites.values().map(|snapshot| snapshot.ask_again(Instant::now()));
                for failure in join_all(asked).await.into_iter().filter_map(Result::err) {
                    tracing::warn!("{failure}");
                }
                let all_known = snapshots.sites.values().all(|snapshot| snapshot.known.read().is_some());
                sleep(if all_known { interval } else { retry_after }).await;
            }
        })
    }

    /// The names of the sites, sorted.
    pub fn sites(&self) -> impl Iterator<Item = &SiteId> {
        self.sites.keys()
    }

    /// What is known of every site; a site that was never asked is asked now, one that does not answer is left out.
    pub async fn all(&self) -> Vec<(SiteId, Arc<KnownView>)> {
        let views = join_all(self.sites.iter().map(|(site, snapshot)| async move {
            match snapshot.view().await {
                Ok(view) => Some((site.clone(), view)),
                Err(error) => {
                    tracing::warn!("{error}");
                    None
                }
            }
        }))
        .await;
        views.into_iter().flatten().collect()
    }

    /// The table of that name as the planner needs it; `None` when the site has none.
    ///
    /// # Errors
    /// `SITE_UNAVAILABLE` when the site was never heard of and does not answer now.
    pub async fn table(&self, site: &str, source: &str, table: &str) -> Result<Option<SiteTable>> {
        let id = SiteId::new(site);
        let Some(snapshot) = self.sites.get(&id) else { return Ok(None) };
        let key = (source.to_string(), table.to_string());
        let mut view = snapshot.view().await?;
        if !view.tables.contains_key(&key) && view.taken.elapsed() > SECOND_LOOK_AFTER {
            // It may be new; when the site does not answer, what is known stands.
            view = snapshot.ask_again(Instant::now()).await.unwrap_or(view);
        }
        Ok(view.tables.get(&key).map(|known| {
            let origin = Origin { source: key.0.clone(), table: key.1.clone(), version: known.version.clone() };
            SiteTable::new(id, Arc::clone(&known.schema), known.statistics.clone()).with_origin(origin)
        }))
    }

    /// Asks these sites again, because one of them said that its view has moved on.
    ///
    /// # Errors
    /// The first site that does not answer.
    pub async fn refresh(&self, sites: Vec<SiteId>) -> Result<()> {
        let since = Instant::now();
        for site in sites {
            if let Some(snapshot) = self.sites.get(&site) {
                snapshot.ask_again(since).await?;
            }
        }
        Ok(())
    }
}

/// For whom views are asked: one for all askers, while a view does not depend on the asker.
fn planner() -> Arc<Asker> {
    Arc::new(Asker::user(Subject { name: "planner".to_string(), ..Subject::default() }))
}

impl Snapshot {
    async fn view(&self) -> Result<Arc<KnownView>> {
        let known = self.known.read().clone();
        match known {
            Some(view) => Ok(view),
            None => self.ask_again(Instant::now()).await,
        }
    }

    /// The site's view, newer than `since`.
    async fn ask_again(&self, since: Instant) -> Result<Arc<KnownView>> {
        let _one_at_a_time = self.asking.lock().await;
        if let Some(view) = self.known.read().clone().filter(|view| view.taken > since) {
            return Ok(view);
        }
        if let Some((when, error)) = self.failure.read().as_ref()
            && when.elapsed() < self.retry_after
        {
            return Err(error.duplicate());
        }
        let asked = self.ask().await;
        *self.failure.write() = asked.as_ref().err().map(|error| (Instant::now(), error.duplicate()));
        asked
    }

    async fn ask(&self) -> Result<Arc<KnownView>> {
        let view = Arc::new(KnownView::decode(&self.peer.view(&planner()).await?).map_err(|error| {
            EngineError::new(Code::SiteProtocol, format!("site {}: {}", self.peer.site(), error.sentence()))
        })?);
        *self.known.write() = Some(Arc::clone(&view));
        Ok(view)
    }
}

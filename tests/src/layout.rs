//! Federations of which each site keeps its tables in another kind of source.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::cluster::{Client, Cluster, Options};
use crate::dataset::Dataset;
use crate::mariadb::MariaDb;
use crate::oracle::Answer;
use crate::plain::plain;
use crate::postgres::Postgres;
use crate::random::{Federations, Subject};
use crate::sqlite::KeptSource;

/// A kind of source that a site keeps its tables in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The files of the data set.
    Files,
    /// A MariaDB server of the site's own.
    MariaDb,
    /// A PostgreSQL server of the site's own.
    Postgres,
    /// Files of SQLite's, one a source.
    Sqlite,
}

/// A running federation, and what its sites read.
#[derive(Debug)]
pub struct Layout {
    /// Its nodes.
    pub cluster: Cluster,
    /// Outlive the sites that ask them.
    _servers: Vec<Box<dyn Debug + Send + Sync>>,
}

impl Layout {
    /// The sites of a plain data set, of which each keeps its tables in one of these kinds, in turn.
    pub async fn start(dataset: &Dataset, kinds: &[Kind]) -> Self {
        let (mut servers, mut options): (Vec<Box<dyn Debug + Send + Sync>>, _) = (vec![], Options::default());
        for (site, kind) in dataset.sites().iter().zip(kinds.iter().cycle()) {
            let own = dataset.clone().of_site(site);
            match kind {
                Kind::Files => {}
                Kind::MariaDb => {
                    let server = MariaDb::holding(&own).await;
                    options.sources.extend(server.sources(&own));
                    servers.push(Box::new(server));
                }
                Kind::Postgres => {
                    let server = Postgres::holding(&own).await;
                    options.sources.extend(server.sources(&own));
                    servers.push(Box::new(server));
                }
                Kind::Sqlite => {
                    let kept = KeptSource::of(&own);
                    options.sources.extend(kept.iter().map(KeptSource::source));
                    servers.push(Box::new(kept));
                }
            }
        }
        Self { cluster: Cluster::start_with(dataset, options).await, _servers: servers }
    }
}

/// How random statements are asked of such federations.
#[derive(Debug, Clone, Copy)]
pub struct Layouts(pub &'static [Kind]);

#[async_trait]
impl Federations for Layouts {
    async fn tables(&self, random: Dataset) -> Result<Dataset, String> {
        plain(&random).await.map_err(|error| error.to_string())
    }

    async fn start(&self, dataset: &Dataset) -> Result<Box<dyn Subject>, String> {
        let layout = Layout::start(dataset, self.0).await;
        Ok(Box::new(Asked { client: layout.cluster.client().await, _layout: layout }))
    }
}

struct Asked {
    client: Client,
    _layout: Layout,
}

#[async_trait]
impl Subject for Asked {
    async fn query(&self, sql: &str) -> Result<Answer, String> {
        self.client.query(sql).await
    }
}

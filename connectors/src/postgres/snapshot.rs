//! One moment of a database that several sessions see: a transaction that waits, and its name for the others.

use std::sync::Arc;

use super::lease::Lease;
use super::server::{Server, Use};
use crate::database::moment::Moments;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;

/// A moment; it can be seen by others for as long as this is not dropped.
#[derive(Debug)]
pub(super) struct Snapshot {
    name: String,
    _keeper: Lease,
}

impl Snapshot {
    /// The moment that all scans in `scope` see of `server`; the first to ask takes it.
    pub(super) async fn of(scope: &ReadScope, server: &Arc<Server>) -> Result<Arc<Self>, ConnectorError> {
        let moment = Moments::of(scope, server);
        moment.get_or_try_init(|| Self::take(server)).await.cloned()
    }

    /// The name under which other transactions take it over.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    async fn take(server: &Arc<Server>) -> Result<Arc<Self>, ConnectorError> {
        let mut keeper = server.lease(Use::KeepSnapshot).await?;
        let asking = keeper.asking(server.config().shown());
        let name = keeper.begin_shared(&asking).await?;
        Ok(Arc::new(Self { name, _keeper: keeper }))
    }
}

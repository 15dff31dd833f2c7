//! The names that a subject may use at a coordinator: sites' tables, regional tables, system tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ResolvedTableReference;
use parking_lot::Mutex;

use super::kept_plans::Views;
use super::{Core, records};
use crate::catalog::binder::{Names, unknown_table};
use crate::catalog::information_schema;
use crate::catalog::regional::regional_table;
use crate::catalog::site_table::SiteId;
use crate::catalog::system;
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;
use crate::session::place::Place;

/// The names, for one subject.
pub(super) struct Subjects<'a> {
    core: &'a Core,
    asker: &'a Arc<Asker>,
    /// What the session has chosen.
    place: &'a Place,
    /// The sites of the tables that were named so far.
    pub(super) sites: Mutex<BTreeSet<SiteId>>,
    /// The views of those tables; `None` once anything else was named.
    pub(super) views: Mutex<Option<Views>>,
}

#[async_trait]
impl Names for Subjects<'_> {
    async fn table(&self, name: &ResolvedTableReference) -> Result<Arc<dyn TableProvider>> {
        let (catalog, schema, table) = (name.catalog.as_ref(), name.schema.as_ref(), name.table.as_ref());
        if let Some(own) = self.own_table(name).await? {
            *self.views.lock() = None;
            return Ok(own);
        }
        self.sites.lock().insert(SiteId::new(catalog));
        match self.core.snapshots.table(self.asker, (catalog, schema, table)).await? {
            Some((table, view)) => {
                let of_site = (table.site().clone(), Arc::downgrade(&view));
                self.views.lock().as_mut().into_iter().for_each(|views| views.push(of_site.clone()));
                Ok(Arc::new(table))
            }
            None => Err(self.unknown(name).await),
        }
    }

    fn defaults(&self) -> (String, String) {
        self.place.or(own_place())
    }
}

/// A coordinator has no catalog of its own to fall back on; short names find the system tables.
pub(super) fn own_place() -> (String, String) {
    (system::CATALOG.to_string(), system::QUERIES.to_string())
}

impl<'a> Subjects<'a> {
    pub(super) fn new(core: &'a Core, asker: &'a Arc<Asker>, place: &'a Place) -> Self {
        Self { core, asker, place, sites: Mutex::default(), views: Mutex::new(Some(Views::new())) }
    }

    /// A table of the coordinator's own: a system table, or the union of several sites'.
    async fn own_table(&self, name: &ResolvedTableReference) -> Result<Option<Arc<dyn TableProvider>>> {
        let (catalog, schema, table) = (name.catalog.as_ref(), name.schema.as_ref(), name.table.as_ref());
        if catalog == system::CATALOG && (schema == system::QUERIES || schema == system::SESSIONS) {
            let viewer = system::Viewer::of(self.asker, self.core.is_administrator(self.asker));
            let found = system::table((&self.core.queries, &self.core.sessions), &viewer, (schema, table))?;
            return found.map(Some).ok_or_else(|| unknown_table(name));
        }
        if catalog == system::CATALOG && schema == system::AUDIT {
            return records::table(self.core, self.asker, table).await?.map(Some).ok_or_else(|| unknown_table(name));
        }
        if schema == information_schema::SCHEMA {
            let listed = self.core.listed(self.asker).await?;
            return information_schema::table(name, &listed)?.map(Some).ok_or_else(|| unknown_table(name));
        }
        let regional = self.core.regionals.iter().find(|regional| {
            regional.name.catalog == catalog && regional.name.schema == schema && regional.name.table == table
        });
        if let Some(regional) = regional {
            self.sites.lock().extend(regional.arms.iter().map(|arm| SiteId::new(&arm.table.catalog)));
            let found = regional_table(&self.core.snapshots, &self.core.base, self.asker, regional).await?;
            return found.map(|view| Some(view.table)).ok_or_else(|| unknown_table(name));
        }
        Ok(None)
    }

    /// What is told of a table that is not there. Outside the sites' own catalogs: the same as of a regional table that is
    /// closed to the asker for want of a purpose.
    async fn unknown(&self, name: &ResolvedTableReference) -> EngineError {
        let is_of_a_site = self.core.doors.iter().any(|(site, _)| site.as_str() == name.catalog.as_ref());
        let regionals = if is_of_a_site { &[] } else { self.core.regionals.as_slice() };
        for regional in regionals {
            match regional_table(&self.core.snapshots, &self.core.base, self.asker, regional).await {
                Err(error) if error.code() == Code::Purpose => return error,
                _ => {}
            }
        }
        unknown_table(name)
    }
}

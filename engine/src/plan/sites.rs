//! Where the scans of a plan lie: what the rewrites after binding ask before they move work from one site to another.

#[cfg(test)]
pub(crate) mod located_table;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use crate::catalog::site_table::{SiteId, SiteTable};

/// Tells the site of a scan. The default asks [`SiteTable`]; tests that run plans answer for tables they can read.
#[derive(Debug, Clone, Copy)]
pub struct Sites {
    of_scan: fn(&TableScan) -> Option<SiteId>,
}

impl Default for Sites {
    fn default() -> Self {
        Self::new(|scan| SiteTable::of(scan).map(|table| table.site().clone()))
    }
}

/// Where all the scans of a plan lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// It reads no table.
    Nowhere,
    /// Every table it reads is of this site.
    At(SiteId),
    /// Its tables are of several sites, or of the coordinator itself.
    Mixed,
}

impl Sites {
    /// Sites as `of_scan` tells them; `None` is a table of the coordinator itself.
    pub fn new(of_scan: fn(&TableScan) -> Option<SiteId>) -> Self {
        Self { of_scan }
    }

    /// Where the tables of `plan` lie, those of its subqueries among them.
    ///
    /// # Errors
    /// Those of walking the plan; none of its own.
    pub fn locate(self, plan: &LogicalPlan) -> Result<Location> {
        let mut location = Location::Nowhere;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                location = location.with(self.of_table(scan));
            }
            Ok(if location == Location::Mixed { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(location)
    }

    fn of_table(self, scan: &TableScan) -> Location {
        (self.of_scan)(scan).map_or(Location::Mixed, Location::At)
    }
}

impl Location {
    /// Where two plans lie together.
    #[must_use]
    pub fn with(&self, other: Location) -> Location {
        match (self, other) {
            (Location::Nowhere, other) => other,
            (own, Location::Nowhere) => own.clone(),
            (Location::At(own), Location::At(other)) if *own == other => Location::At(other),
            _ => Location::Mixed,
        }
    }
}

//! A directory of policies as a set: against a site's tables, or the tables that it names.

use std::path::Path;

use policy::set::{Baselines, Catalog, Made, NamedTables, PolicySet};
use policy::time::Instant;

use crate::config::{self, SiteConfig};
use crate::error::Result;
use crate::site::policies::files::{PolicyFile, as_files, glance, line, read_seen};
use crate::site::policies::machine_clock;
use crate::site::policies::tables::{SiteTables, TableSnapshot};

/// A site, as far as policies are checked against it.
pub(super) struct SiteNow {
    /// Its name; without one the policies may name any.
    pub(super) name: Option<String>,
    /// Its tables.
    pub(super) tables: TableSnapshot,
    /// Whether it can make pseudonyms.
    pub(super) makes_pseudonyms: bool,
}

impl SiteNow {
    /// Opens the sources of a configuration and lists their tables.
    pub(super) async fn open(config: &Path) -> Result<Self> {
        let config: SiteConfig = config::load_site(config)?;
        let tables = SiteTables::open(&config).await?.snapshot().await;
        let makes_pseudonyms = config.pseudonyms.is_some();
        Ok(Self { name: Some(config.node.name.as_str().to_string()), tables, makes_pseudonyms })
    }
}

/// The time of the check.
pub(super) fn now() -> Instant {
    machine_clock()()
}

/// Policies, and the tables that they were checked against.
pub(super) struct Loaded {
    /// The policies.
    pub(super) set: PolicySet,
    /// The site's tables, or those that the policies name.
    pub(super) tables: Box<dyn Catalog>,
}

/// The policies of a directory, checked against the site's tables if there is a site; or every fault, a line each.
pub(super) fn load(directory: &Path, site: Option<&SiteNow>) -> Result<Loaded, Vec<String>> {
    let seen = glance(directory).map_err(|fault| vec![fault])?;
    let loaded = read_seen(seen).and_then(|files| {
        let named = NamedTables::of(&as_files(&files));
        let name = site.and_then(|site| site.name.as_deref()).unwrap_or(named.site()).to_owned();
        match site {
            Some(site) => checked(&files, &name, site.tables.clone()),
            None => checked(&files, &name, named),
        }
    });
    // These begin with the file's name.
    loaded.map_err(|faults| faults.iter().map(|fault| directory.join(fault).display().to_string()).collect())
}

fn checked(files: &[PolicyFile], site: &str, tables: impl Catalog + 'static) -> Result<Loaded, Vec<String>> {
    let made = Made { author: "check".to_string(), at: now() };
    let set = PolicySet::from_files(&as_files(files), site, (&made, &tables), &Baselines::default());
    let set = set.map_err(|faults| faults.iter().map(line).collect::<Vec<_>>())?;
    Ok(Loaded { set, tables: Box::new(tables) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use policy::resource::TableName;

    use super::*;

    fn site() -> SiteNow {
        let columns = ["id_no", "name"].map(|name| Field::new(name, DataType::Utf8, true));
        let people = (TableName::new("civil", "people"), Arc::new(Schema::new(columns.to_vec())));
        SiteNow { name: Some("north".to_string()), tables: [people].into_iter().collect(), makes_pseudonyms: false }
    }

    /// The faults without and with a site, less the directory.
    fn faults(text: &str) -> [Vec<String>; 2] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.sql"), text).unwrap();
        let prefix = format!("{}/", directory.path().display());
        [None, Some(&site())].map(|site| {
            let faults = load(directory.path(), site).err().unwrap_or_default();
            faults.into_iter().map(|fault| fault.strip_prefix(&prefix).unwrap().to_string()).collect()
        })
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "CREATE PURPOSE research;\n\nGRANT EVERYTHING;\nDROP TAG x;\nCREATE POLICY p;\n";
        for faults in faults(text) {
            let lines: Vec<_> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
            assert!(lines.starts_with(&["a.sql:3:"]) && lines.contains(&"a.sql:5:"), "{faults:?}");
        }
        assert_eq!(faults("CREATE PURPOSE research").map(|faults| faults.len()), [1, 1], "cut off");
    }

    #[test]
    fn a_name_is_given_once() {
        let twice = "CREATE PURPOSE p;\nCREATE PURPOSE p;\nCREATE POLICY n ON TABLE civil.people COLUMN MASK hide COLUMNS \
                     (name) TO ALL;\nCREATE POLICY n ON TABLE civil.people COLUMN MASK show_first(1) COLUMNS (name) TO ALL;";
        for faults in faults(twice) {
            assert!(faults.len() == 2 && faults.iter().all(|fault| fault.ends_with("already")), "{faults:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_once() {
        let faults = load(std::path::Path::new("/nowhere/policies"), None).err().unwrap();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("/nowhere/policies cannot be read"), "{faults:?}");
    }

    #[test]
    fn what_needs_no_table_is_checked_without_a_site() {
        let policy = "CREATE POLICY n ON TABLE north.civil.people COLUMN MASK";
        for (text, told) in [
            ("GRANT SELECT ON TABLE civil.people TO ALL FOR PURPOSE p;", "a.sql:1: there is no purpose `p`"),
            (&format!("{policy} hide MATCH COLUMNS has_tag('t') TO ALL;"), "a.sql:1: there is no tag `t`"),
            ("CREATE PURPOSE p UNDER q;\nCREATE PURPOSE q UNDER p;", "a.sql:1: this purpose is part of itself"),
            (
                "GRANT SELECT ON SCHEMA x.civil TO ALL MODE OPEN;\nGRANT SELECT ON TABLE y.civil.people TO ALL MODE OPEN;",
                "a.sql:2: `y` is another site; this is `x`",
            ),
            (
                &format!(
                    "{policy} show_first(1) COLUMNS (name) TO ALL;\nCREATE POLICY m ON SCHEMA civil COLUMN MASK \
                       show_last(1) COLUMNS (name) TO ALL;"
                ),
                "a.sql:1: policy `m` already makes column `name`",
            ),
            (
                "CREATE POLICY m ON TABLE hr.pay AGGREGATE ONLY (MIN GROUP 2 ENTITY pay BOUNDS 0 TO 9) COLUMNS (pay) TO ALL;",
                "a.sql:1: `pay` is aggregate-only",
            ),
        ] {
            let [without, _] = faults(text);
            assert!(without.first().is_some_and(|fault| fault.starts_with(told)), "{text}: {without:?}");
        }
        let good = format!("{policy} truncate_to_year COLUMNS (name) TO ALL;");
        assert_eq!(faults(&good)[0], [""; 0], "its site is named, and of types nothing is known");
        assert_eq!(faults(&good)[1].len(), 1);
    }

    #[test]
    fn tables_are_looked_at_only_where_there_is_a_site() {
        let [without, with] = faults("CREATE PURPOSE p;\nGRANT SELECT ON TABLE civil.nosuch TO ALL FOR PURPOSE p;");
        assert_eq!(without, [""; 0]);
        assert!(with.len() == 1 && with[0].starts_with("a.sql:2: "), "{with:?}");
        let good = "CREATE PURPOSE p;\nGRANT SELECT ON TABLE civil.people TO ALL FOR PURPOSE p;\nCREATE POLICY n ON TABLE \
                    civil.people COLUMN MASK show_first(1) COLUMNS (name) TO ALL;";
        assert_eq!(faults(good), [Vec::<String>::new(), Vec::new()]);
    }
}

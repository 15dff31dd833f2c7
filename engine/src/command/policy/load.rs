//! A directory of policies as a set: against a site's tables, or as it is written.

use std::path::Path;

use policy::set::{Baselines, GrantRecord, Made, PolicyRecord, PolicySet, Purpose, Tagged};
use policy::statement::{Change, Located, Statement, parse_all};
use policy::time::Instant;

use crate::config::{self, SiteConfig};
use crate::error::Result;
use crate::site::policies::files::{PolicyFile, as_files, glance, line, read_seen};
use crate::site::policies::machine_clock;
use crate::site::policies::tables::{SiteTables, TableSnapshot};

/// A site, as far as policies are checked against it.
pub(super) struct SiteNow {
    /// Its name.
    pub(super) name: String,
    /// Its tables.
    pub(super) tables: TableSnapshot,
}

impl SiteNow {
    /// Opens the sources of a configuration and lists their tables.
    pub(super) async fn open(config: &Path) -> Result<Self> {
        let config: SiteConfig = config::load_site(config)?;
        let tables = SiteTables::open(&config).await?.snapshot().await;
        Ok(Self { name: config.node.name.as_str().to_string(), tables })
    }
}

/// The time of the check.
pub(super) fn now() -> Instant {
    machine_clock()()
}

/// The policies of a directory, checked against the site's tables if there is a site; or every fault, a line each.
pub(super) fn load(directory: &Path, site: Option<&SiteNow>) -> Result<PolicySet, Vec<String>> {
    let seen = glance(directory).map_err(|fault| vec![fault])?;
    let loaded = read_seen(seen).and_then(|files| match site {
        Some(site) => checked(&files, site),
        None => as_written(&files),
    });
    // These begin with the file's name.
    loaded.map_err(|faults| faults.iter().map(|fault| directory.join(fault).display().to_string()).collect())
}

fn checked(files: &[PolicyFile], site: &SiteNow) -> Result<PolicySet, Vec<String>> {
    let made = Made { author: "check".to_string(), at: now() };
    PolicySet::from_files(&as_files(files), &site.name, (&made, &site.tables), &Baselines::default())
        .map_err(|faults| faults.iter().map(line).collect())
}

/// What the files say, without a look at tables: only whether it is the language.
fn as_written(files: &[PolicyFile]) -> Result<PolicySet, Vec<String>> {
    let mut set = PolicySet::default();
    let mut faults = Vec::new();
    for file in files {
        match parse_all(&file.text, "") {
            Ok(statements) => statements.into_iter().for_each(|located| {
                if let Err(message) = add(&mut set, located) {
                    faults.push(format!("{}:{message}", file.name));
                }
            }),
            Err(wrong) => {
                faults.extend(wrong.iter().map(|fault| format!("{}:{}: {}", file.name, fault.line, fault.message)))
            }
        }
    }
    if faults.is_empty() { Ok(set) } else { Err(faults) }
}

/// Adds a statement as it stands; what a name stands for is said once.
fn add(set: &mut PolicySet, Located { line, statement }: Located) -> Result<(), String> {
    let (at, author) = (Instant(0), String::new());
    let taken = |what: &str, name: &str| Err(format!("{line}: there is a {what} `{name}` already"));
    match statement {
        Statement::Change(Change::CreateTag { name, .. }) if set.tags.contains_key(&name) => {
            return taken("tag", &name);
        }
        Statement::Change(Change::CreatePurpose { name, .. }) if set.purposes.contains_key(&name) => {
            return taken("purpose", &name);
        }
        Statement::Change(Change::CreatePolicy(policy)) if set.policies.contains_key(&policy.name) => {
            return taken("policy", &policy.name);
        }
        Statement::Change(Change::CreateTag { name, values }) => drop(set.tags.insert(name, values)),
        Statement::Change(Change::SetTag { table, column, tag, value }) => {
            set.tagged.push(Tagged { table, column, tag, value });
        }
        Statement::Change(Change::CreatePurpose { name, under, comment }) => {
            set.purposes.insert(name, Purpose { under, comment });
        }
        Statement::Change(Change::Grant(grant)) => {
            let id = grant.id.clone().unwrap_or_else(|| format!("grant {}", set.grants.len() + 1));
            if set.grants.contains_key(&id) {
                return taken("grant", &id);
            }
            set.grants.insert(id, GrantRecord { grant, at, author, columns: Default::default() });
        }
        Statement::Change(Change::CreatePolicy(policy)) => {
            let name = policy.name.clone();
            set.policies.insert(name, PolicyRecord { policy, at, author, uses: Default::default() });
        }
        Statement::Change(Change::AcceptColumn { table, column }) => drop(set.accepted.insert((table, column))),
        Statement::Change(Change::ValidUntil(until)) => set.valid_until = until,
        Statement::Change(_) => {
            return Err(format!("{line}: nothing is taken back in a file: leave out what is not to be"));
        }
        Statement::Show(_) => return Err(format!("{line}: SHOW has no place in a file")),
    }
    Ok(())
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
        SiteNow { name: "north".to_string(), tables: [people].into_iter().collect() }
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
        let faults = load(std::path::Path::new("/nowhere/policies"), None).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("/nowhere/policies cannot be read"), "{faults:?}");
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

//! `chancery policy test`: what the authors of policies expect, held against what would be decided.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policy::assertion::{Assertion, Assertions, failures};
use policy::resource::TableName;
use toml::Spanned;

use super::load::{Loaded, SiteNow, load, now};
use super::{TestArgs, tell};
use crate::error::Result;

/// How the name of a file of assertions ends.
const ENDING: &str = ".test.toml";

/// Runs `chancery policy test`.
pub(super) async fn run(args: TestArgs) -> Result<ExitCode> {
    let site = match &args.site {
        Some(config) => Some(SiteNow::open(config).await?),
        None => None,
    };
    let read = read(&args.directory).and_then(|files| match site {
        Some(site) => Ok((files.asserted, site)),
        None => declared(&args.directory, files.tables).map(|site| (files.asserted, site)),
    });
    let loaded = load(&args.directory, read.as_ref().ok().map(|(_, site)| site));
    let (Loaded { set, tables }, asserted) = match (loaded, read) {
        (Ok(loaded), Ok((asserted, _))) => (loaded, asserted),
        (loaded, read) => {
            let mut faults: Vec<String> = loaded.err().into_iter().chain(read.err()).flatten().collect();
            // A directory that cannot be read is so for both.
            faults.dedup();
            tell(faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let (now, count) = (now(), asserted.len());
    let mut failed = 0;
    for Asserted { place, assertion } in asserted {
        let failures = failures(&set, &Assertions { assert: vec![assertion] }, tables.as_ref(), now);
        failed += usize::from(!failures.is_empty());
        tell(failures.iter().map(|failure| format!("{place}: {failure}")));
    }
    tell([format!("{}: {} of {count} assertions hold", args.directory.display(), count - failed)]);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the files of assertions hold.
#[derive(Debug, Default)]
struct Read {
    asserted: Vec<Asserted>,
    /// The tables that they declare.
    tables: BTreeMap<TableName, SchemaRef>,
}

/// The site that has the declared tables and no others.
fn declared(directory: &Path, tables: BTreeMap<TableName, SchemaRef>) -> Result<SiteNow, Vec<String>> {
    if tables.is_empty() {
        let why = "what a policy makes of a row hangs on the table's columns and their types";
        let how = "give --site site.toml, or declare [tables] beside the assertions";
        return Err(vec![format!("{}: {why}: {how}", directory.display())]);
    }
    Ok(SiteNow { name: None, tables: tables.into_iter().collect(), makes_pseudonyms: true })
}

/// An assertion, and where it is written: `file:line`.
#[derive(Debug)]
struct Asserted {
    place: String,
    assertion: Assertion,
}

/// A file of assertions, each with its place in the text.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    assert: Vec<Spanned<Assertion>>,
    /// `"source.table" = { column = "Type" }`
    #[serde(default)]
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Written {
    fn tables(&self) -> Result<Vec<(TableName, SchemaRef)>, String> {
        let table = |(name, columns): (&String, &BTreeMap<String, String>)| {
            let (source, table) =
                name.split_once('.').ok_or_else(|| format!("the table `{name}` is written 'source.table'"))?;
            let fields = columns.iter().map(|(column, kind)| {
                let kind: DataType = kind
                    .parse()
                    .map_err(|_| format!("`{name}.{column}`: there is no type `{kind}`; write Utf8, Int64, …"))?;
                Ok(Field::new(column, kind, true))
            });
            let schema = Schema::new(fields.collect::<Result<Vec<_>, String>>()?);
            Ok((TableName::new(source, table), Arc::new(schema)))
        };
        self.tables.iter().map(table).collect()
    }
}

/// The assertions of a directory, by file; or what is wrong with them, a line each. None at all is wrong too: a test that
/// finds nothing must not pass.
fn read(directory: &Path) -> Result<Read, Vec<String>> {
    let (mut read, mut faults) = (Read::default(), Vec::new());
    for path in paths(directory).map_err(|error| vec![format!("{} cannot be read: {error}", directory.display())])? {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Err(error) => faults.push(format!("{name}: cannot be read: {error}")),
            Ok(text) => match toml::from_str::<Written>(&text) {
                Err(error) => {
                    let start = error.span().map_or(0, |span| span.start);
                    faults.push(format!("{name}:{}: {}", line(&text, start), error.message()));
                }
                Ok(written) => {
                    match written.tables() {
                        Ok(tables) => read.tables.extend(tables),
                        Err(fault) => faults.push(format!("{name}: {fault}")),
                    }
                    read.asserted.extend(written.assert.into_iter().map(|assertion| Asserted {
                        place: format!("{name}:{}", line(&text, assertion.span().start)),
                        assertion: assertion.into_inner(),
                    }));
                }
            },
        }
    }
    if read.asserted.is_empty() && faults.is_empty() {
        faults.push(format!("{}: no assertion (*{ENDING})", directory.display()));
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

fn paths(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ENDING)));
    paths.sort();
    Ok(paths)
}

/// The line, from one, of a byte of the text.
fn line(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_an_assertion_does_not_pass() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).unwrap_err()[0].contains("no assertion"));
        std::fs::write(directory.path().join("a.test.toml"), "assert = []\n").unwrap();
        assert!(read(directory.path()).unwrap_err()[0].contains("no assertion"));
    }

    #[test]
    fn an_assertion_knows_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let one = "[[assert]]\nname = 'x'\ntable = 'a.b'\ndenied = true\n";
        std::fs::write(directory.path().join("a.test.toml"), format!("# Of a.b.\n{one}\n{one}")).unwrap();
        let asserted = read(directory.path()).unwrap().asserted;
        let lines: Vec<_> = asserted.iter().filter_map(|asserted| asserted.place.rsplit(':').next()).collect();
        assert_eq!(lines, ["2", "7"]);
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[[assert]]\nname = 'x'\ntable = 'a.b'\ndenied = true\n\n[[assert]]\nname = 'y'\nnosuch = 1\n";
        std::fs::write(directory.path().join("a.test.toml"), text).unwrap();
        let faults = read(directory.path()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("a.test.toml:") && faults[0].contains("nosuch"), "{faults:?}");
    }
}

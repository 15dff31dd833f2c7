//! `chancery policy test`: what the authors of policies expect, held against what would be decided.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::assertion::{Assertion, Assertions, failures};
use toml::Spanned;

use super::load::{SiteNow, load, now};
use super::{TestArgs, tell};
use crate::error::Result;

/// How the name of a file of assertions ends.
const ENDING: &str = ".test.toml";

/// Runs `chancery policy test`.
pub(super) async fn run(args: TestArgs) -> Result<ExitCode> {
    let site = SiteNow::open(&args.site).await?;
    let loaded = load(&args.directory, Some(&site));
    let (set, asserted) = match (loaded, read(&args.directory)) {
        (Ok(set), Ok(asserted)) => (set, asserted),
        (set, asserted) => {
            let mut faults: Vec<String> = set.err().into_iter().chain(asserted.err()).flatten().collect();
            // A directory that cannot be read is so for both.
            faults.dedup();
            tell(faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let (now, count) = (now(), asserted.len());
    let mut failed = 0;
    for Asserted { place, assertion } in asserted {
        let failures = failures(&set, &Assertions { assert: vec![assertion] }, &site.tables, now);
        failed += usize::from(!failures.is_empty());
        tell(failures.iter().map(|failure| format!("{place}: {failure}")));
    }
    tell([format!("{}: {} of {count} assertions hold", args.directory.display(), count - failed)]);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
}

/// The assertions of a directory, by file; or what is wrong with them, a line each. None at all is wrong too: a test that
/// finds nothing must not pass.
fn read(directory: &Path) -> Result<Vec<Asserted>, Vec<String>> {
    let (mut asserted, mut faults) = (Vec::new(), Vec::new());
    for path in paths(directory).map_err(|error| vec![format!("{} cannot be read: {error}", directory.display())])? {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Err(error) => faults.push(format!("{name}: cannot be read: {error}")),
            Ok(text) => match toml::from_str::<Written>(&text) {
                Err(error) => {
                    let start = error.span().map_or(0, |span| span.start);
                    faults.push(format!("{name}:{}: {}", line(&text, start), error.message()));
                }
                Ok(written) => asserted.extend(written.assert.into_iter().map(|assertion| Asserted {
                    place: format!("{name}:{}", line(&text, assertion.span().start)),
                    assertion: assertion.into_inner(),
                })),
            },
        }
    }
    if asserted.is_empty() && faults.is_empty() {
        faults.push(format!("{}: no assertion (*{ENDING})", directory.display()));
    }
    if faults.is_empty() { Ok(asserted) } else { Err(faults) }
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
        let asserted = read(directory.path()).unwrap();
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

//! `chancery policy test`: what the authors of policies expect, held against what would be decided.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::assertion::{Assertions, failures};

use super::load::{SiteNow, load, now};
use super::{TestArgs, tell};
use crate::error::Result;

/// How the name of a file of assertions ends.
const ENDING: &str = ".test.toml";

/// Runs `chancery policy test`.
pub(super) async fn run(args: TestArgs) -> Result<ExitCode> {
    let site = SiteNow::open(&args.site).await?;
    let loaded = load(&args.directory, Some(&site));
    let (set, files) = match (loaded, read(&args.directory)) {
        (Ok(set), Ok(files)) => (set, files),
        (set, files) => {
            tell(set.err().into_iter().chain(files.err()).flatten());
            return Ok(ExitCode::FAILURE);
        }
    };
    let now = now();
    let mut failed = 0;
    for (name, assertions) in &files {
        let failures = failures(&set, assertions, &site.tables, now);
        let mut names: Vec<&str> = failures.iter().map(|failure| failure.name.as_str()).collect();
        names.dedup();
        failed += names.len();
        tell(failures.iter().map(|failure| format!("{name}: {failure}")));
    }
    let asserted: usize = files.iter().map(|(_, assertions)| assertions.assert.len()).sum();
    tell([format!("{}: {} of {asserted} assertions hold", args.directory.display(), asserted - failed)]);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files of assertions in a directory, by name; or what is wrong with them, a line each. None at all is wrong too:
/// a test that finds nothing must not pass.
fn read(directory: &Path) -> Result<Vec<(String, Assertions)>, Vec<String>> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    for path in paths(directory).map_err(|error| vec![format!("{} cannot be read: {error}", directory.display())])? {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path).map_err(|error| format!(" cannot be read: {error}")).and_then(parse) {
            Ok(assertions) => files.push((name, assertions)),
            Err(fault) => faults.push(format!("{name}:{fault}")),
        }
    }
    if files.iter().all(|(_, assertions)| assertions.assert.is_empty()) && faults.is_empty() {
        faults.push(format!("{}: no assertion (*{ENDING})", directory.display()));
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

fn paths(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ENDING)));
    paths.sort();
    Ok(paths)
}

/// The assertions of a file, or the line and what is wrong on it.
fn parse(text: String) -> Result<Assertions, String> {
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        format!("{line}: {}", error.message())
    })
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
    fn a_misspelt_key_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[[assert]]\nname = 'x'\ntable = 'a.b'\ndenied = true\n\n[[assert]]\nname = 'y'\nnosuch = 1\n";
        std::fs::write(directory.path().join("a.test.toml"), text).unwrap();
        let faults = read(directory.path()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("a.test.toml:") && faults[0].contains("nosuch"), "{faults:?}");
    }
}

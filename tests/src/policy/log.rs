//! A node's log, free of what differs from run to run: clocks, identities, ports and places.

use std::collections::BTreeSet;
use std::path::Path;

use super::capture::masked;

/// Every line that the log has, once; of lines about a query those of these queries. `places` are directories of this run.
pub fn lines(log: &str, queries: &BTreeSet<&str>, places: &[&Path]) -> BTreeSet<String> {
    let lines = log.lines().filter(|line| query(line).is_none_or(|query| queries.contains(query)));
    lines.map(|line| normalised(line, places)).collect()
}

/// The identity of the query that a line is about.
fn query(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("query=")?;
    rest.trim_start_matches('"').get(..32)
}

fn normalised(line: &str, places: &[&Path]) -> String {
    // A line begins with the time; one that continues another does not.
    let told = match line.split_once(' ') {
        Some((first, rest)) if first.ends_with('Z') && first.contains('T') => rest.trim_start(),
        _ => line,
    };
    let told = places.iter().fold(masked(told), |told, place| told.replace(&place.display().to_string(), "<place>"));
    without_numbers_after("elapsed_ms=", &without_numbers_after(LOOPBACK, &told))
}

fn without_numbers_after(name: &str, text: &str) -> String {
    let mut parts = text.split(name);
    let mut told = parts.next().unwrap_or_default().to_string();
    for part in parts {
        told.push_str(name);
        told.push('#');
        told.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    }
    told
}

const LOOPBACK: &str = "127.0.0.1:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_two_runs_are_alike() {
        let one = "2026-01-02T03:04:05.678901Z  WARN engine::node: query=\"00112233445566778899aabbccddeeff\" at 127.0.0.1:4711 in /tmp/a\nmore";
        let two = "2027-11-12T13:14:15.100000Z  WARN engine::node: query=\"ffeeddccbbaa99887766554433221100\" at 127.0.0.1:42 in /tmp/b\nmore";
        let of = |log, query, place| lines(log, &BTreeSet::from([query]), &[Path::new(place)]);
        let told = of(one, "00112233445566778899aabbccddeeff", "/tmp/a");
        assert_eq!(told, of(two, "ffeeddccbbaa99887766554433221100", "/tmp/b"));
        let told: Vec<String> = told.into_iter().collect();
        assert_eq!(told, ["WARN engine::node: query=\"<id>\" at 127.0.0.1:# in <place>", "more"]);
        assert_eq!(of(one, "another", "/tmp/a"), BTreeSet::from(["more".to_string()]));
    }
}

//! What a run says: bytes, memory, wall and CPU time of each statement, the parties side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::party::{Kind, Sample};
use crate::run::median;

/// TPC-H at scale 1 in layout V3, MB over the borders: what can be reached, step by step.
const LADDER: [(&str, [f64; 5]); 4] = [
    ("DuckDB, attached", [227.0, 392.0, 114.0, 61.0, 492.0]),
    ("filter, projection, zstd", [18.2, 38.0, 16.0, 7.2, 37.0]),
    ("+ lossy keys", [0.50, 0.47, 0.68, 0.45, 14.8]),
    ("+ exact keys, place", [0.26, 0.32, 0.69, 0.20, 0.008]),
];
const LADDER_QUERIES: [&str; 5] = ["q03", "q05", "q10", "q12", "q18"];

/// Every measurement of a run.
#[derive(Debug, Default)]
pub struct Run {
    /// The statements' names, in order.
    pub statements: Vec<String>,
    /// The parties, in order.
    pub parties: Vec<Kind>,
    /// By statement and party, in the order of the repetitions.
    pub samples: BTreeMap<(String, Kind), Vec<Sample>>,
    /// What went otherwise than it should.
    pub notes: Vec<String>,
}

impl Run {
    fn of(&self, statement: &str, party: Kind) -> &[Sample] {
        self.samples.get(&(statement.to_string(), party)).map_or(&[], Vec::as_slice)
    }

    fn median(&self, statement: &str, party: Kind, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        let samples = self.of(statement, party);
        (!samples.is_empty()).then(|| median(samples.iter().map(of).collect()))
    }

    /// Bytes of all borders, both ways.
    fn bytes(&self, statement: &str, party: Kind) -> Option<f64> {
        self.median(statement, party, border_bytes)
    }

    fn has(&self, party: Kind) -> bool {
        self.parties.contains(&party)
    }

    /// The parties that the others are compared with come first.
    fn reference(&self) -> Kind {
        let known = [Kind::Floor, Kind::Chancery].into_iter().find(|party| self.has(*party));
        known.or(self.parties.first().copied()).unwrap_or(Kind::Floor)
    }

    /// All tables.
    pub fn report(&self) -> String {
        let mut text = String::new();
        self.write_bytes(&mut text);
        self.write_interface(&mut text);
        self.write_sites(&mut text);
        self.write_ladder(&mut text);
        self.write_compared(&mut text, "wall", |sample| sample.wall_ms);
        self.write_compared(&mut text, "CPU", |sample| sample.cpu_ms);
        self.write_memory(&mut text);
        if !self.notes.is_empty() {
            let _ = writeln!(text, "\nnot as it should be:");
            self.notes.iter().for_each(|note| {
                let _ = writeln!(text, "  {note}");
            });
        }
        text
    }

    fn write_bytes(&self, text: &mut String) {
        let parties: Vec<Kind> = self.parties.iter().copied().filter(|party| *party != Kind::Floor).collect();
        let ours = if self.has(Kind::ChanceryZstd) { Kind::ChanceryZstd } else { Kind::Chancery };
        let _ = write!(text, "\n{:<10}", "bytes, kB");
        parties.iter().for_each(|party| {
            let _ = write!(text, " {:>17}", party.name());
        });
        let ratio_of = format!("duckdb / {}", ours.name());
        let _ = writeln!(text, " {:>23}", if self.has(Kind::Duckdb) { ratio_of.as_str() } else { "" });
        let (mut sums, mut ratios) = (vec![0.0; parties.len()], Vec::new());
        for statement in &self.statements {
            let _ = write!(text, "{statement:<10}");
            for (party, sum) in parties.iter().zip(&mut sums) {
                let bytes = self.bytes(statement, *party);
                *sum += bytes.unwrap_or_default();
                let _ = write!(text, " {:>17}", bytes.map_or("-".to_string(), |bytes| format!("{:.1}", bytes / 1e3)));
            }
            let ratio = self.bytes(statement, Kind::Duckdb).zip(self.bytes(statement, ours)).map(|(a, b)| a / b);
            ratios.extend(ratio);
            let _ = writeln!(text, " {:>23}", ratio.map_or(String::new(), |ratio| format!("{ratio:.1}")));
        }
        let _ = write!(text, "{:<10}", "all");
        sums.iter().for_each(|sum| {
            let _ = write!(text, " {:>17.1}", sum / 1e3);
        });
        if ratios.is_empty() {
            text.push('\n');
        } else {
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let _ = writeln!(text, " geomean {:.1}, least {least:.2}", geometric_mean(&ratios));
        }
    }

    /// What the link's interface has seen, beside what the ledger tells of it.
    fn write_interface(&self, text: &mut String) {
        for party in &self.parties {
            let both = |sample: &Sample| sample.interface.filter(|_| !sample.crossed.is_empty()).is_some();
            let samples = self.statements.iter().flat_map(|statement| self.of(statement, *party));
            let (mut interface, mut ledger) = (0.0, 0.0);
            for sample in samples.filter(|sample| both(sample)) {
                interface += border_bytes(sample);
                ledger += by_site(sample);
            }
            if ledger > 0.0 {
                let (name, ratio) = (party.name(), interface / ledger);
                let _ = writeln!(text, "{name}: the interface has seen {ratio:.4} times what the ledger tells");
            }
        }
    }

    /// Each site's part.
    fn write_sites(&self, text: &mut String) {
        for party in self.parties.iter().copied().filter(|party| !matches!(party, Kind::Floor)) {
            let mut sites: Vec<&str> = Vec::new();
            for sample in self.statements.iter().flat_map(|statement| self.of(statement, party)) {
                sites.extend(sample.crossed.keys().map(String::as_str));
            }
            sites.sort_unstable();
            sites.dedup();
            if sites.is_empty() {
                continue;
            }
            let _ = write!(text, "\n{}: kB to and from each site\n{:<10}", party.name(), "");
            sites.iter().for_each(|site| {
                let _ = write!(text, " {site:>21}");
            });
            text.push('\n');
            for statement in &self.statements {
                let _ = write!(text, "{statement:<10}");
                for site in &sites {
                    let of = |way: fn(&(u64, u64)) -> u64| {
                        let bytes = |sample: &Sample| sample.crossed.get(*site).map_or(0, way) as f64;
                        self.median(statement, party, bytes).unwrap_or_default() / 1e3
                    };
                    let _ = write!(text, " {:>9.1} {:>11.1}", of(|(to, _)| *to), of(|(_, from)| *from));
                }
                text.push('\n');
            }
        }
    }

    fn write_ladder(&self, text: &mut String) {
        if !LADDER_QUERIES.iter().all(|query| self.statements.iter().any(|statement| statement == query)) {
            return;
        }
        let _ = write!(text, "\n{:<26}", "MB, beside the ladder");
        LADDER_QUERIES.iter().for_each(|query| {
            let _ = write!(text, " {query:>9}");
        });
        text.push('\n');
        let mut line = |name: &str, values: &[f64]| {
            let _ = write!(text, "{name:<26}");
            values.iter().for_each(|value| {
                let _ = write!(text, " {value:>9.3}");
            });
            text.push('\n');
        };
        for party in self.parties.iter().filter(|party| **party != Kind::Floor) {
            let measured = LADDER_QUERIES.map(|query| self.bytes(query, *party).unwrap_or(f64::NAN) / 1e6);
            line(&format!("{}, measured", party.name()), &measured);
        }
        for (name, values) in &LADDER {
            line(name, values);
        }
        text.push_str("(the ladder is of scale 1, layout v3, integer keys)\n");
    }

    /// The reference's time, and the medians of the others' ratios to it in the same repetition.
    fn write_compared(&self, text: &mut String, what: &str, of: fn(&Sample) -> f64) {
        let reference = self.reference();
        let others: Vec<Kind> = self.parties.iter().copied().filter(|party| *party != reference).collect();
        let _ = write!(text, "\n{:<10} {:>14}", format!("{what}, ms"), reference.name());
        others.iter().for_each(|party| {
            let _ = write!(text, " {:>12} {:>8}", party.name().trim_start_matches("chancery-"), "ratio");
        });
        text.push('\n');
        let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); others.len()];
        let mut sums = vec![0.0; others.len() + 1];
        for statement in &self.statements {
            let time = self.median(statement, reference, of);
            sums[0] += time.unwrap_or_default();
            let _ = write!(text, "{statement:<10} {:>14.1}", time.unwrap_or(f64::NAN));
            for (at, party) in others.iter().enumerate() {
                let pairs = self.of(statement, reference).iter().zip(self.of(statement, *party));
                let paired: Vec<f64> = pairs.map(|(reference, other)| of(other) / of(reference)).collect();
                let (time, ratio) = if paired.is_empty() {
                    (f64::NAN, f64::NAN)
                } else {
                    (self.median(statement, *party, of).unwrap_or(f64::NAN), median(paired))
                };
                if ratio.is_finite() {
                    ratios[at].push(ratio);
                    sums[at + 1] += time;
                }
                let _ = write!(text, " {time:>12.1} {ratio:>8.2}");
            }
            text.push('\n');
        }
        let _ = write!(text, "{:<10} {:>14.1}", "all", sums[0]);
        for at in 0..others.len() {
            let _ = write!(text, " {:>12.1} {:>8.2}", sums[at + 1], sums[at + 1] / sums[0]);
        }
        let _ = write!(text, "\n{:<25}", "geomean, worst");
        for ratios in &ratios {
            let worst = ratios.iter().copied().fold(0.0, f64::max);
            let _ = write!(text, " {:>12.2} {worst:>8.2}", geometric_mean(ratios));
        }
        text.push('\n');
    }

    /// The most in any repetition.
    fn write_memory(&self, text: &mut String) {
        let _ = write!(text, "\n{:<10}", "peak, MB");
        self.parties.iter().for_each(|party| {
            let _ = write!(text, " {:>17} {:>6}", party.name(), "site");
        });
        text.push('\n');
        let most = |statement: &str, party: Kind, of: fn(&Sample) -> f64| {
            self.of(statement, party).iter().map(of).fold(0.0, f64::max)
        };
        let mut highest = vec![(0.0_f64, 0.0_f64); self.parties.len()];
        for statement in &self.statements {
            let _ = write!(text, "{statement:<10}");
            for (party, highest) in self.parties.iter().zip(&mut highest) {
                let asked = most(statement, *party, |sample| sample.peak_mb);
                let site = most(statement, *party, |sample| sample.site_peak_mb);
                *highest = (highest.0.max(asked), highest.1.max(site));
                let _ = write!(text, " {asked:>17.0} {site:>6.0}");
            }
            text.push('\n');
        }
        let _ = write!(text, "{:<10}", "most");
        highest.iter().for_each(|(asked, site)| {
            let _ = write!(text, " {asked:>17.0} {site:>6.0}");
        });
        text.push('\n');
    }

    /// Every measurement, one a line.
    pub fn csv(&self) -> String {
        let mut text = "statement,party,repetition,wall_ms,cpu_ms,peak_mb,site_peak_mb,interface_to,interface_from,\
                        by_site_to_from\n"
            .to_string();
        for ((statement, party), samples) in &self.samples {
            for (repetition, sample) in samples.iter().enumerate() {
                let Sample { wall_ms, cpu_ms, peak_mb, site_peak_mb, interface, crossed } = sample;
                let (to, from) = interface.unwrap_or_default();
                let sites = crossed.iter().map(|(site, (to, from))| format!("{site} {to} {from}"));
                let sites = sites.collect::<Vec<_>>().join(";");
                let _ = writeln!(
                    text,
                    "{statement},{},{repetition},{wall_ms:.3},{cpu_ms:.0},{peak_mb:.1},{site_peak_mb:.1},{to},{from},{sites}",
                    party.name()
                );
            }
        }
        text
    }
}

/// By the interface where there is one: it sees everybody alike.
fn border_bytes(sample: &Sample) -> f64 {
    sample.interface.map_or_else(|| by_site(sample), |(to, from)| (to + from) as f64)
}

fn by_site(sample: &Sample) -> f64 {
    sample.crossed.values().map(|(to, from)| to + from).sum::<u64>() as f64
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

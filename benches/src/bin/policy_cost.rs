//! What policy costs: TPC-H over three sites, each query under every variant by turns in one run, answers compared first.
//!
//! ```text
//! cargo build --release -p chancery-engine
//! cargo run --release -p chancery-benches --bin policy-cost -- [--scale 1] [--repetitions 5] [--queries q01,q06] \
//!     [--variants off,grants]
//! ```
//!
//! One federation for each variant runs all the time, and one of them works at a time. The tables are of medians over the
//! repetitions: the time without policy over the same sources, and beside it the ratios of each repetition's pair. They are
//! printed, and written below `benches/runs/` with every single measurement. The variants whose tables are in a database
//! need PostgreSQL's programs on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use benches::run::{self, TICK_MS, median};
use benches::servers::{server_with, source_of, sql_of_server};
use datafusion::arrow::record_batch::RecordBatch;
use harness::cluster::{Client, Cluster, Governance, Options, Person};
use harness::oracle::{Answer, Promise, compare, compare_values};
use harness::postgres::Postgres;
use harness::statements::{Statement, tpch_queries};
use harness::tpch::tpch;

const USER: &str = harness::cluster::USER;
const SITES: [&str; 3] = ["sales", "logistics", "supply"];

/// How TPC-H is governed.
struct Variant {
    name: &'static str,
    about: &'static str,
    source: Source,
    /// Statements beside the grants, by site; `None`: policy is not enforced.
    policies: Option<&'static [(&'static str, &'static str)]>,
    answers: Answers,
}

/// Where each site has its tables.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// In Parquet, which hands out rows.
    Files,
    /// In a schema of a PostgreSQL server, which evaluates whole subtrees where nothing forbids it.
    Server,
}

/// What the answers have in common with those without policy.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// All.
    Same,
    /// The number of columns; rows may be others where what is grouped or compared is coarser.
    Shape,
}

const GRANTS: &str = "CREATE PURPOSE analysis;\nGRANT SELECT ON SCHEMA tpch TO ROLE analyst FOR PURPOSE analysis;\n";
const GRANTS_OF_SERVER: &str =
    "CREATE PURPOSE analysis;\nGRANT SELECT ON SCHEMA server TO ROLE analyst FOR PURPOSE analysis;\n";

/// The first of each source is what the others are compared with.
static VARIANTS: [Variant; 7] = [
    Variant { name: "off", about: "enforce = false", source: Source::Files, policies: None, answers: Answers::Same },
    Variant {
        name: "grants",
        about: "grants only: barriers and egress, no row filter",
        source: Source::Files,
        policies: Some(&[]),
        answers: Answers::Same,
    },
    Variant {
        name: "masks",
        about: "parts of texts, months of dates, buckets of prices",
        source: Source::Files,
        policies: Some(&[("sales", MASKS_SALES), ("logistics", MASKS_LOGISTICS), ("supply", MASKS_SUPPLY)]),
        answers: Answers::Shape,
    },
    Variant {
        name: "pseudonyms",
        about: "all keys of customers, orders, parts and suppliers",
        source: Source::Files,
        policies: Some(&[("sales", KEYS_SALES), ("logistics", KEYS_LOGISTICS), ("supply", KEYS_SUPPLY)]),
        answers: Answers::Shape,
    },
    Variant {
        name: "rows",
        about: "row filters on lineitem and orders that every row passes",
        source: Source::Files,
        policies: Some(&[("sales", ROWS_SALES), ("logistics", ROWS_LOGISTICS)]),
        answers: Answers::Same,
    },
    Variant {
        name: "server off",
        about: "enforce = false; the tables in PostgreSQL, which joins and aggregates what is its own",
        source: Source::Server,
        policies: None,
        answers: Answers::Same,
    },
    Variant {
        name: "server grants",
        about: "grants only; the server gets only what may cross the barriers",
        source: Source::Server,
        policies: Some(&[]),
        answers: Answers::Same,
    },
];

const MASKS_SALES: &str = "
CREATE POLICY names ON TABLE tpch.customer COLUMN MASK show_first(12) COLUMNS (c_name, c_address) TO ALL;
CREATE POLICY phones ON TABLE tpch.customer COLUMN MASK show_first(2) COLUMNS (c_phone) TO ALL;
CREATE POLICY balances ON TABLE tpch.customer COLUMN MASK bucket(10) COLUMNS (c_acctbal) TO ALL;
CREATE POLICY days ON TABLE tpch.orders COLUMN MASK truncate_to_month COLUMNS (o_orderdate) TO ALL;
CREATE POLICY clerks ON TABLE tpch.orders COLUMN MASK mask_alphanum COLUMNS (o_clerk) TO ALL;
";
const MASKS_LOGISTICS: &str = "
CREATE POLICY prices ON TABLE tpch.lineitem COLUMN MASK bucket(10) COLUMNS (l_extendedprice) TO ALL;
CREATE POLICY days ON TABLE tpch.lineitem COLUMN MASK truncate_to_month COLUMNS (l_shipdate) TO ALL;
CREATE POLICY words ON TABLE tpch.lineitem COLUMN MASK show_first(5) COLUMNS (l_comment) TO ALL;
";
const MASKS_SUPPLY: &str = "
CREATE POLICY addresses ON TABLE tpch.supplier COLUMN MASK mask_alphanum COLUMNS (s_address, s_phone) TO ALL;
CREATE POLICY costs ON TABLE tpch.partsupp COLUMN MASK bucket(1) COLUMNS (ps_supplycost) TO ALL;
";
const KEYS_SALES: &str = "
CREATE POLICY customers ON TABLE tpch.customer COLUMN MASK pseudonym('customer') COLUMNS (c_custkey) TO ALL;
CREATE POLICY buyers ON TABLE tpch.orders COLUMN MASK pseudonym('customer') COLUMNS (o_custkey) TO ALL;
CREATE POLICY orders ON TABLE tpch.orders COLUMN MASK pseudonym('order') COLUMNS (o_orderkey) TO ALL;
";
const KEYS_LOGISTICS: &str = "
CREATE POLICY orders ON TABLE tpch.lineitem COLUMN MASK pseudonym('order') COLUMNS (l_orderkey) TO ALL;
CREATE POLICY parts ON TABLE tpch.lineitem COLUMN MASK pseudonym('part') COLUMNS (l_partkey) TO ALL;
CREATE POLICY suppliers ON TABLE tpch.lineitem COLUMN MASK pseudonym('supplier') COLUMNS (l_suppkey) TO ALL;
";
const KEYS_SUPPLY: &str = "
CREATE POLICY parts ON TABLE tpch.part COLUMN MASK pseudonym('part') COLUMNS (p_partkey) TO ALL;
CREATE POLICY offered ON TABLE tpch.partsupp COLUMN MASK pseudonym('part') COLUMNS (ps_partkey) TO ALL;
CREATE POLICY offering ON TABLE tpch.partsupp COLUMN MASK pseudonym('supplier') COLUMNS (ps_suppkey) TO ALL;
CREATE POLICY suppliers ON TABLE tpch.supplier COLUMN MASK pseudonym('supplier') COLUMNS (s_suppkey) TO ALL;
";
const ROWS_SALES: &str = "
CREATE POLICY states ON TABLE tpch.orders ROW FILTER (o_orderstatus IN ('F', 'O', 'P')) TO ALL;
";
const ROWS_LOGISTICS: &str = "
CREATE POLICY flags ON TABLE tpch.lineitem ROW FILTER (l_returnflag IN ('A', 'N', 'R')) TO ALL;
";

impl Variant {
    fn options(&self, server: Option<&Postgres>) -> Options {
        let grants = if self.source == Source::Files { GRANTS } else { GRANTS_OF_SERVER };
        let governance = self.policies.map(|policies| {
            let text = |site: &str| {
                let more = policies.iter().filter(|(of, _)| *of == site).map(|(_, text)| *text);
                std::iter::once(grants).chain(more).collect::<String>()
            };
            Governance {
                users: vec![Person::new(USER, "analyst").holding("analysis")],
                policies: SITES.iter().map(|site| ((*site).to_string(), text(site))).collect(),
                ..Governance::default()
            }
        });
        let sources = server.filter(|_| self.source == Source::Server).into_iter();
        let sources =
            sources.flat_map(|server| SITES.map(|site| (site.to_string(), source_of(server, site)))).collect();
        Options { governance, sources, ..Options::default() }
    }

    /// The statement over this variant's tables.
    fn sql(&self, statement: &Statement) -> String {
        let of_server = |sql: String, site: &&str| sql_of_server(&sql, site);
        match self.source {
            Source::Files => statement.sql.clone(),
            Source::Server => SITES.iter().fold(statement.sql.clone(), of_server),
        }
    }

    /// What it is compared with.
    fn base(&self) -> &'static Self {
        VARIANTS.iter().find(|variant| variant.source == self.source).expect("one of each source")
    }

    fn is_base(&self) -> bool {
        self.base().name == self.name
    }
}

/// A variant at work.
struct Running {
    variant: &'static Variant,
    cluster: Cluster,
    client: Client,
}

impl Running {
    /// CPU time of all its nodes so far.
    fn cpu_ms(&self) -> u64 {
        let sites = SITES.iter().map(|site| self.cluster.site(site).cpu_ticks());
        TICK_MS * (sites.sum::<u64>() + self.cluster.coordinator().cpu_ticks())
    }
}

/// What one asking of one query took.
#[derive(Debug, Clone, Copy)]
struct Sample {
    wall_ms: f64,
    cpu_ms: f64,
}

/// Samples by query and variant, in the order of the repetitions.
type Samples = BTreeMap<(String, &'static str), Vec<Sample>>;

/// What is asked of the run.
struct Arguments {
    scale: f64,
    repetitions: usize,
    queries: BTreeSet<String>,
    variants: Vec<&'static Variant>,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let variants = VARIANTS.iter().collect();
        let mut arguments = Self { scale: 1.0, repetitions: 5, queries: BTreeSet::new(), variants };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let wrong = |error: &dyn std::fmt::Display| format!("{word} {value}: {error}");
            match word.as_str() {
                "--scale" => arguments.scale = value.parse().map_err(|error| wrong(&error))?,
                "--repetitions" => arguments.repetitions = value.parse().map_err(|error| wrong(&error))?,
                "--queries" => arguments.queries = value.split(',').map(str::to_string).collect(),
                "--variants" => {
                    let names: BTreeSet<&str> = value.split(',').collect();
                    arguments.variants.retain(|variant| names.contains(variant.name));
                    if names.len() != arguments.variants.len() {
                        let known: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
                        return Err(format!("{word} {value}: there are {}", known.join(", ")));
                    }
                }
                _ => return Err(format!("{word} is unknown; there are --scale, --repetitions, --queries, --variants")),
            }
        }
        let is_alone = |variant: &&&Variant| arguments.variants.iter().all(|one| one.name != variant.base().name);
        if let Some(alone) = arguments.variants.iter().find(is_alone) {
            return Err(format!("--variants: {} is compared with {}", alone.name, alone.base().name));
        }
        if arguments.repetitions == 0 { Err("--repetitions 0".to_string()) } else { Ok(arguments) }
    }

    fn statements(&self) -> Vec<Statement> {
        let mut statements = tpch_queries();
        statements.retain(|statement| self.queries.is_empty() || self.queries.contains(&statement.name));
        statements
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match measured().await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("policy-cost: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn measured() -> Result<String, String> {
    let arguments = Arguments::read()?;
    let statements = arguments.statements();
    if statements.is_empty() {
        return Err("no query of these names".to_string());
    }
    let dataset = tpch(arguments.scale).map_err(|error| error.to_string())?;
    let mut server = None;
    if arguments.variants.iter().any(|variant| variant.source == Source::Server) {
        server = Some(server_with(&dataset, None).await);
    }
    let mut running = Vec::new();
    for variant in &arguments.variants {
        let cluster = Cluster::start_with(&dataset, variant.options(server.as_ref())).await;
        let client = cluster.user(USER).await;
        running.push(Running { variant, cluster, client });
    }
    let notes = compare_answers(&running, &statements).await?;
    let samples = measure(&running, &statements, arguments.repetitions).await?;
    let report = report(&arguments, &statements, &samples, &notes);
    let file = keep(&arguments, &report, &samples).map_err(|error| error.to_string())?;
    Ok(format!("{report}\nwritten to {} and .csv beside it", file.display()))
}

/// Asks everything once, which warms all nodes up too. The notes say where answers differ as they may.
async fn compare_answers(running: &[Running], statements: &[Statement]) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    for statement in statements {
        let mut without: Option<Answer> = None;
        for Running { variant, client, .. } in running {
            let place = format!("{} under {}", statement.name, variant.name);
            let answer = match client.query(&variant.sql(statement)).await {
                Ok(answer) => answer,
                Err(error) if variant.answers == Answers::Shape => {
                    notes.push(format!("{place}: not measured: {error}"));
                    continue;
                }
                Err(error) => return Err(format!("{place}: {error}")),
            };
            let Some(expected) = &without else {
                without = Some(answer);
                continue;
            };
            match variant.answers {
                // A column without a name of its own is called by its tables.
                Answers::Same if variant.source == Source::Server => {
                    compare_values(expected, &answer, Promise::Ordered).map_err(|error| format!("{place}: {error}"))?;
                }
                Answers::Same => {
                    compare(expected, &answer, Promise::Ordered).map_err(|error| format!("{place}: {error}"))?;
                }
                Answers::Shape => {
                    let (expected, actual) = (shape(expected), shape(&answer));
                    if expected.0 != actual.0 {
                        return Err(format!("{place}: {} columns for {}", actual.0, expected.0));
                    }
                    if expected.1 != actual.1 {
                        notes.push(format!("{place}: {} rows for {}", actual.1, expected.1));
                    }
                }
            }
        }
    }
    Ok(notes)
}

/// Columns and rows.
fn shape(answer: &Answer) -> (usize, usize) {
    (answer.schema.fields().len(), answer.batches.iter().map(RecordBatch::num_rows).sum())
}

/// By turns, and each time another variant first: none always follows the same one.
async fn measure(running: &[Running], statements: &[Statement], repetitions: usize) -> Result<Samples, String> {
    let mut samples = Samples::new();
    for statement in statements {
        for repetition in 0..repetitions {
            for turn in 0..running.len() {
                let one = &running[(turn + repetition) % running.len()];
                let (cpu, start) = (one.cpu_ms(), Instant::now());
                match one.client.query(&one.variant.sql(statement)).await {
                    Ok(_) => {}
                    // Refused before, and noted.
                    Err(_) if one.variant.answers == Answers::Shape => continue,
                    Err(error) => return Err(format!("{} under {}: {error}", statement.name, one.variant.name)),
                }
                let wall_ms = start.elapsed().as_secs_f64() * 1e3;
                let sample = Sample { wall_ms, cpu_ms: (one.cpu_ms() - cpu) as f64 };
                samples.entry((statement.name.clone(), one.variant.name)).or_default().push(sample);
            }
        }
        eprintln!("{} measured", statement.name);
    }
    Ok(samples)
}

/// The median over the repetitions of what `of` says of the pair: without policy, under the variant.
fn paired(samples: [&[Sample]; 2], of: impl Fn(Sample) -> f64) -> f64 {
    median(samples[0].iter().zip(samples[1]).map(|(off, on)| of(*on) / of(*off)).collect())
}

/// The sum over the queries, once for each repetition.
fn sums(samples: &Samples, variant: &str, statements: &[&Statement]) -> Vec<Sample> {
    let mut sums: Vec<Sample> = Vec::new();
    for statement in statements {
        let of_query = samples.iter().find(|((query, name), _)| *query == statement.name && *name == variant);
        for (index, sample) in of_query.into_iter().flat_map(|(_, samples)| samples).enumerate() {
            if sums.len() == index {
                sums.push(Sample { wall_ms: 0.0, cpu_ms: 0.0 });
            }
            sums[index].wall_ms += sample.wall_ms;
            sums[index].cpu_ms += sample.cpu_ms;
        }
    }
    sums
}

fn report(arguments: &Arguments, statements: &[Statement], samples: &Samples, notes: &[String]) -> String {
    let mut text = format!(
        "TPC-H at scale {} over three sites, {} repetitions by turns; {}\n\n",
        arguments.scale,
        arguments.repetitions,
        run::place()
    );
    for Variant { name, about, .. } in &arguments.variants {
        let _ = writeln!(text, "{name:<13}  {about}");
    }
    for base in arguments.variants.iter().filter(|variant| variant.is_base()) {
        let of_base = |variant: &&&Variant| variant.source == base.source && !variant.is_base();
        let others: Vec<&Variant> = arguments.variants.iter().filter(of_base).copied().collect();
        text.push('\n');
        text.push_str(&table(base, &others, statements, samples));
    }
    text.push_str("\nWhere policy shows everything, the answers are equal. Others differ in rows, or were refused:\n");
    notes.iter().for_each(|note| {
        let _ = writeln!(text, "  {note}");
    });
    text
}

/// By query: the time without policy, and each variant's ratio to it.
fn table(base: &Variant, others: &[&Variant], statements: &[Statement], samples: &Samples) -> String {
    let mut text = format!("wall {:>12} ms", base.name);
    others.iter().for_each(|variant| {
        let _ = write!(text, " {:>13}", variant.name);
    });
    text.push('\n');
    let mut ratios: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for Statement { name, .. } in statements {
        let of = |variant: &Variant| samples.get(&(name.clone(), variant.name)).map_or(&[][..], Vec::as_slice);
        let wall = median(of(base).iter().map(|sample| sample.wall_ms).collect());
        let _ = write!(text, "{name:<8} {wall:>11.1}");
        for variant in others {
            if of(variant).len() != of(base).len() {
                let _ = write!(text, " {:>13}", "-");
                continue;
            }
            let ratio = paired([of(base), of(variant)], |sample| sample.wall_ms);
            ratios.entry(variant.name).or_default().push(ratio);
            let _ = write!(text, " {ratio:>13.3}");
        }
        text.push('\n');
    }
    let all: Vec<&Statement> = statements.iter().collect();
    let sums_of_base = sums(samples, base.name, &all);
    let total = |of: fn(&Sample) -> f64| median(sums_of_base.iter().map(of).collect());
    let mut lines = [
        format!("{:<8} {:>11.1}", "all", total(|sample| sample.wall_ms)),
        format!("{:<8} {:>11}", "geomean", ""),
        format!("{:<8} {:>11.1}", "all, CPU", total(|sample| sample.cpu_ms)),
    ];
    for variant in others {
        // Over the queries that both answered.
        let both = |one: &&Statement| samples.contains_key(&(one.name.clone(), variant.name));
        let both: Vec<&Statement> = statements.iter().filter(both).collect();
        if both.is_empty() {
            continue;
        }
        let (base, sums) = (sums(samples, base.name, &both), sums(samples, variant.name, &both));
        let ratios = ratios.get(variant.name).map_or(&[][..], Vec::as_slice);
        let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        let _ = write!(lines[0], " {:>13.3}", paired([&base, &sums], |sample| sample.wall_ms));
        let _ = write!(lines[1], " {:>13.3}", (logs / ratios.len() as f64).exp());
        let _ = write!(lines[2], " {:>13.3}", paired([&base, &sums], |sample| sample.cpu_ms));
    }
    lines.iter().for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    text
}

/// Keeps the report and every measurement.
fn keep(arguments: &Arguments, report: &str, samples: &Samples) -> std::io::Result<PathBuf> {
    let mut csv = "query,variant,repetition,wall_ms,cpu_ms\n".to_string();
    for ((query, variant), samples) in samples {
        for (repetition, Sample { wall_ms, cpu_ms }) in samples.iter().enumerate() {
            let _ = writeln!(csv, "{query},{variant},{repetition},{wall_ms:.3},{cpu_ms:.0}");
        }
    }
    let of = |source: Source, name: &str| {
        let is_measured = arguments.variants.iter().any(|variant| variant.source == source);
        if is_measured { format!("-{name}") } else { String::new() }
    };
    let sources = of(Source::Files, "files") + &of(Source::Server, "server");
    run::keep(&format!("policy-cost-sf{}{sources}", arguments.scale), None, report, &csv)
}

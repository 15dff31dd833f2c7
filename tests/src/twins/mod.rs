//! Twin worlds (N1): two states of a site that differ only in what an asker may not see are asked the same, and every byte
//! that leaves is compared.
//!
//! ```text
//! values      what columns hold: tame, odd, and wild as hidden values are; values that a mask shows alike
//! policies    a random policy, and what it comes to for one asker, in plain Rust
//! world       a pair of worlds: visible rows in one order, all else made anew; files of both
//! statements  what is asked, and how: fallible expressions in every clause
//! door        a site in this process, asked over gRPC without a socket; all that leaves it
//! shrink      smaller pairs, tried while the difference remains
//! ```
//!
//! One number makes a pair: [`Plan::seed`] the first, and the next one the next.
//!
//! **Invariant:** what is masked is random or a clock: the query's number, the sealed ticket, the versions of a view.
//!
//! **Invariant:** a pair is compared only if its views are equal by the policy's own meaning; else the generator is wrong.

pub mod door;
pub mod policies;
pub mod shrink;
pub mod statements;
pub mod values;
pub mod world;

use std::fmt;

use futures::{StreamExt, stream};

use self::door::{Door, Transcript, policy_text, treatments};
use self::statements::Asked;
use self::world::Pair;
use crate::environment::number;

/// Statements of one pair: opening two sites costs as much as asking both a few times.
const STATEMENTS: usize = 6;
/// Pairs at once; most of a site's opening is waiting for its policies' directory to be at rest.
const AT_ONCE: usize = 8;

/// How many pairs, and which.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of the first pair.
    pub seed: u64,
    /// How many.
    pub pairs: u64,
}

impl Plan {
    /// `CHANCERY_TWINS_SEED` and `CHANCERY_TWINS`, or these.
    pub fn from_environment(seed: u64, pairs: u64) -> Self {
        Self { seed: number("CHANCERY_TWINS_SEED", seed), pairs: number("CHANCERY_TWINS", pairs) }
    }
}

/// What a run has shown.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Questions that both worlds answered alike.
    pub asked: usize,
    /// Those whose answer had rows.
    pub with_rows: usize,
    /// Those whose answer was an error, by its first word.
    pub errors: std::collections::BTreeMap<String, usize>,
    /// Hidden rows, of both worlds.
    pub hidden_rows: usize,
    /// All rows, of both worlds.
    pub rows: usize,
}

/// Two worlds told apart.
#[derive(Debug, Clone)]
pub struct Report {
    /// The pair's number.
    pub seed: u64,
    /// The smallest pair found.
    pub pair: Box<Pair>,
    /// The statement or call.
    pub question: String,
    /// The first difference.
    pub difference: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the worlds of pair {0} can be told apart; CHANCERY_TWINS_SEED={0} CHANCERY_TWINS=1 repeats it", self.seed)?;
        writeln!(f, "asked: {}\n{}\n", self.question, self.difference)?;
        writeln!(f, "policy:\n{}columns:\n{}", policy_text(&self.pair), treatments(&self.pair))?;
        for (number, world) in self.pair.worlds.iter().enumerate() {
            for (table, contents) in self.pair.tables.iter().zip(world) {
                writeln!(f, "world {number}, {}, {:?}:", table.name, contents.layout)?;
                for row in &contents.rows {
                    let cells = row.cells.iter().map(ToString::to_string).collect::<Vec<_>>();
                    writeln!(f, "  {}: {}", row.id, cells.join(" | "))?;
                }
            }
        }
        Ok(())
    }
}

/// Asks all pairs.
///
/// # Errors
/// The first pair, by number, whose worlds can be told apart, made small.
pub async fn run(plan: Plan) -> Result<Summary, Box<Report>> {
    println!("twin worlds: {plan:?}");
    let seeds = stream::iter(plan.seed..plan.seed + plan.pairs);
    let mut pairs = seeds.map(|seed| tokio::spawn(pair(seed))).buffered(AT_ONCE);
    let mut summary = Summary::default();
    while let Some(done) = pairs.next().await {
        match done.unwrap_or_else(|panic| panic!("a pair: {panic}")) {
            Ok(one) => summary.add(one),
            Err(pair) => {
                drop(pairs);
                return Err(Box::new(smallest(*pair).await));
            }
        }
    }
    println!("twin worlds: {summary:?}");
    Ok(summary)
}

/// The first difference among these pairs, made small.
pub async fn first_difference(plan: Plan) -> Option<Report> {
    run(plan).await.err().map(|report| *report)
}

impl Summary {
    fn add(&mut self, other: Summary) {
        self.asked += other.asked;
        self.with_rows += other.with_rows;
        self.hidden_rows += other.hidden_rows;
        self.rows += other.rows;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
    }

    fn count(&mut self, answer: &Transcript) {
        self.asked += 1;
        self.with_rows += usize::from(!answer.failed && answer.frames > 0);
        if let Some(message) = answer.told.iter().find(|told| told.what == "refusal message") {
            let text = String::from_utf8_lossy(&message.bytes);
            let code = text.split(':').next().unwrap_or_default().to_string();
            *self.errors.entry(code).or_default() += 1;
        }
    }
}

/// Asks one pair; the pair itself, with the one question that tells, if its worlds can be told apart.
async fn pair(seed: u64) -> Result<Summary, Box<Pair>> {
    let pair = Pair::new(seed, STATEMENTS);
    let mut summary = Summary::default();
    for world in 0..2 {
        let (hidden, rows) = pair.hidden(world);
        summary.hidden_rows += hidden;
        summary.rows += rows;
    }
    let (one, other) = tokio::join!(Door::open(&pair, 0), Door::open(&pair, 1));
    for asked in &pair.asked {
        let (first, second) = (one.ask(asked).await, other.ask(asked).await);
        if first != second {
            return Err(Box::new(Pair { asked: vec![asked.clone()], ..pair }));
        }
        summary.count(&first);
    }
    Ok(summary)
}

/// What tells the worlds of a pair of one question apart.
async fn difference(pair: &Pair) -> Option<String> {
    let asked = pair.asked.first()?;
    let (one, other) = tokio::join!(Door::open(pair, 0), Door::open(pair, 1));
    one.ask(asked).await.difference(&other.ask(asked).await)
}

async fn smallest(mut pair: Pair) -> Report {
    let mut found = difference(&pair).await.unwrap_or_else(|| "not seen a second time: it hangs on timing".to_string());
    let mut budget = shrink::ATTEMPTS;
    'smaller: loop {
        for candidate in shrink::candidates(&pair) {
            if budget == 0 {
                break 'smaller;
            }
            budget -= 1;
            if let Some(difference) = difference(&candidate).await {
                (pair, found) = (candidate, difference);
                continue 'smaller;
            }
        }
        break;
    }
    let question = match &pair.asked[0] {
        Asked::Statement(question, way) => format!("{} ({way:?})", question.sql()),
        other => format!("{other:?}"),
    };
    Report { seed: pair.seed, pair: Box::new(pair), question, difference: found }
}

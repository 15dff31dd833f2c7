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
use self::statements::{Asked, Way};
use self::world::Pair;
use crate::environment::number;

/// Statements of one pair: opening two sites costs as much as asking both a few times.
const STATEMENTS: usize = 6;
/// How often a question is asked again before its answers are said to differ.
const TIMES_ASKED: usize = 6;
/// So many differences are made small and shown.
const REPORTS_MAX: usize = 4;
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
    /// Those for rows.
    pub for_rows: usize,
    /// Those of them whose answer had rows.
    pub with_rows: usize,
    /// Those whose answer was an error, by its first word.
    pub errors: std::collections::BTreeMap<String, usize>,
    /// Those that one world answers in several ways, which with one thread a statement it should not; each is printed.
    pub by_chance: usize,
    /// Hidden rows of tables with a row filter, of both worlds.
    pub hidden_rows: usize,
    /// All rows of these tables.
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

/// Some of them.
#[derive(Debug, Clone)]
pub struct Reports(pub Vec<Report>);

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|report| writeln!(f, "{report}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the worlds of pair {0} can be told apart; CHANCERY_TWINS_SEED={0} CHANCERY_TWINS=1 repeats it",
            self.seed
        )?;
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
/// Pairs whose worlds can be told apart, made small: the first few, by number.
pub async fn run(plan: Plan) -> Result<Summary, Reports> {
    println!("twin worlds: {plan:?}");
    let (summary, told_apart) = ask(plan, REPORTS_MAX).await;
    println!("twin worlds: {summary:?}");
    let mut reports = vec![];
    for pair in told_apart {
        reports.push(smallest(pair, shrink::ATTEMPTS).await);
    }
    if reports.is_empty() { Ok(summary) } else { Err(Reports(reports)) }
}

/// The first of these pairs whose worlds can be told apart, made smaller in so many attempts; and how many rows it had as it
/// was made.
pub async fn first_told_apart(plan: Plan, attempts: usize) -> Option<(Report, usize)> {
    let pair = ask(plan, 1).await.1.pop()?;
    let rows = pair.row_count();
    Some((smallest(pair, attempts).await, rows))
}

/// Asks pairs until so many can be told apart.
async fn ask(plan: Plan, told_apart_max: usize) -> (Summary, Vec<Pair>) {
    let seeds = stream::iter(plan.seed..plan.seed + plan.pairs);
    let mut pairs = seeds.map(|seed| tokio::spawn(pair(seed))).buffered(AT_ONCE);
    let mut summary = Summary::default();
    let mut told_apart = vec![];
    while let Some(done) = pairs.next().await {
        match done.unwrap_or_else(|panic| panic!("a pair: {panic}")) {
            Ok(one) => summary.add(one),
            Err(pair) => {
                println!("twin worlds: those of pair {} can be told apart by {}", pair.seed, pair.asked[0]);
                told_apart.push(*pair);
            }
        }
        if told_apart.len() >= told_apart_max {
            break;
        }
    }
    (summary, told_apart)
}

impl Summary {
    fn add(&mut self, other: Summary) {
        self.asked += other.asked;
        self.for_rows += other.for_rows;
        self.by_chance += other.by_chance;
        self.with_rows += other.with_rows;
        self.hidden_rows += other.hidden_rows;
        self.rows += other.rows;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
    }

    fn count(&mut self, asked: &Asked, answer: &Transcript) {
        self.asked += 1;
        let is_for_rows = matches!(asked, Asked::Statement(_, way) if *way != Way::Schema);
        self.for_rows += usize::from(is_for_rows);
        self.with_rows += usize::from(is_for_rows && !answer.failed && answer.frames > 0);
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
    let doors = open(&pair).await;
    for asked in &pair.asked {
        match compare(&doors, asked).await {
            Compared::Alike(answer) => summary.count(asked, &answer),
            Compared::ByChance(answer) => {
                println!("twin worlds: in pair {seed} an answer hangs on chance: {asked}");
                summary.count(asked, &answer);
                summary.by_chance += 1;
            }
            Compared::Apart(_) => return Err(Box::new(Pair { asked: vec![asked.clone()], ..pair })),
        }
    }
    Ok(summary)
}

/// What came of asking two worlds the same.
enum Compared {
    /// One answer.
    Alike(Transcript),
    /// Several, and one of them from both worlds.
    ByChance(Transcript),
    /// No answer of one is one of the other; the first difference between the first two.
    Apart(String),
}

async fn open(pair: &Pair) -> [Door; 2] {
    let (one, other) = tokio::join!(Door::open(pair, 0), Door::open(pair, 1));
    [one, other]
}

/// An answer may hang on timing, which is no secret: it is asked again, and worlds are alike if they have an answer in
/// common.
async fn compare([one, other]: &[Door; 2], asked: &Asked) -> Compared {
    let (mut ones, mut others) = (vec![one.ask(asked).await], vec![other.ask(asked).await]);
    let Some(difference) = ones[0].difference(&others[0]) else { return Compared::Alike(ones.remove(0)) };
    for _ in 0..TIMES_ASKED {
        ones.push(one.ask(asked).await);
        others.push(other.ask(asked).await);
        if let Some(common) = ones.iter().find(|answer| others.contains(answer)) {
            return Compared::ByChance(common.clone());
        }
    }
    Compared::Apart(difference)
}

/// What tells the worlds of a pair of one question apart.
async fn difference(pair: &Pair) -> Option<String> {
    match compare(&open(pair).await, pair.asked.first()?).await {
        Compared::Apart(difference) => Some(difference),
        Compared::Alike(_) | Compared::ByChance(_) => None,
    }
}

async fn smallest(mut pair: Pair, attempts: usize) -> Report {
    let mut found = difference(&pair).await.unwrap_or_else(|| "not seen a second time: it hangs on timing".to_string());
    let mut budget = attempts;
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
    let question = pair.asked[0].to_string();
    Report { seed: pair.seed, pair: Box::new(pair), question, difference: found }
}

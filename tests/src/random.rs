//! Random statements over random data: a federation and one process must agree on each, and a failure is made small.
//!
//! ```text
//! data        tables of two or three sites, and a regional table over them
//! expression  an expression, and every template that makes one
//! relation    a statement as a tree, and its text
//! generate    trees that are always well typed, and whose answers are determined by the data
//! shrink      smaller trees, tried while the failure remains
//! ```
//!
//! One number makes everything: [`Plan::seed`]. A data set serves [`STATEMENTS_PER_DATASET`] statements, and the next has
//! the next number, so a failure in the tenth data set is repeated without the nine before it.

pub mod data;
pub mod expression;
pub mod generate;
pub mod relation;
pub mod shrink;

use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use datafusion::prelude::SessionContext;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::dataset::{Dataset, local_context};
use crate::oracle::{Answer, Promise, compare, local_answer};
use relation::Relation;

/// Starting a federation costs more than a statement, so that many share one.
pub const STATEMENTS_PER_DATASET: usize = 50;

/// A statement without an answer in one process shows nothing; more than one in this many is a fault of the generator.
const ONE_ERROR_IN: usize = 20;

/// A data set is left at its first failure; after so many, the run ends.
const FAILURES_SHOWN: usize = 4;

/// What is asked: a federation, or a process.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The answer, with the declared schema; or the error as a client sees it.
    async fn query(&self, sql: &str) -> Result<Answer, String>;
}

/// How a subject is made of a data set.
#[async_trait]
pub trait Federations: Send + Sync {
    /// What both sides are over, made of random tables.
    async fn tables(&self, random: Dataset) -> Result<Dataset, String> {
        Ok(random)
    }

    /// Starts one over these tables. It is stopped when it is dropped.
    async fn start(&self, dataset: &Dataset) -> Result<Box<dyn Subject>, String>;
}

/// How many statements, and which.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of the first data set.
    pub seed: u64,
    /// Statements in all.
    pub statements: usize,
}

impl Plan {
    /// `CHANCERY_RANDOM_SEED` and `CHANCERY_RANDOM_STATEMENTS`, or these.
    pub fn from_environment(seed: u64, statements: usize) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|e| panic!("{name} = {text:?}: {e}")))
        };
        let statements =
            number("CHANCERY_RANDOM_STATEMENTS").map_or(statements, |n| usize::try_from(n).expect("64 bits"));
        Self { seed: number("CHANCERY_RANDOM_SEED").unwrap_or(seed), statements }
    }
}

/// What a run has shown.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Statements that gave the same answer.
    pub agreed: usize,
    /// Those of them whose answer had rows.
    pub with_rows: usize,
    /// Statements for which one process has no answer, with its error: there is nothing to compare.
    pub errors: Vec<String>,
}

/// Compares a federation with one process on random statements. The error names the seed and the smallest statement found.
pub async fn differential(plan: Plan, federations: &dyn Federations) -> Result<Summary, String> {
    println!("random statements: {plan:?}");
    let mut summary = Summary::default();
    let mut failures = vec![];
    let mut seed = plan.seed;
    let mut left = plan.statements;
    while left > 0 && failures.len() < FAILURES_SHOWN {
        let statements = left.min(STATEMENTS_PER_DATASET);
        let round = Round::start(seed, federations).await?;
        failures.extend(round.run(statements, &mut summary).await.err());
        left -= statements;
        seed = seed.wrapping_add(1);
    }
    println!(
        "random statements: {} agreed ({} with rows), {} without an answer in one process",
        summary.agreed,
        summary.with_rows,
        summary.errors.len()
    );
    if !failures.is_empty() {
        return Err(failures.join("\n\n"));
    }
    if summary.errors.len() * ONE_ERROR_IN > plan.statements {
        return Err(format!("too many statements have no answer in one process:\n{}", summary.errors.join("\n")));
    }
    Ok(summary)
}

/// One data set, and both sides over it.
struct Round {
    seed: u64,
    rng: StdRng,
    tables: Vec<Relation>,
    local: SessionContext,
    subject: Box<dyn Subject>,
    _dataset: Dataset,
}

enum Outcome {
    Agreed { rows: usize },
    NoAnswer(String),
    Differ(String),
}

impl Round {
    async fn start(seed: u64, federations: &dyn Federations) -> Result<Self, String> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (random, tables) = data::dataset(&mut rng).map_err(|e| e.to_string())?;
        let dataset = federations.tables(random).await?;
        let local = local_context(&dataset).await.map_err(|e| e.to_string())?;
        let subject = federations.start(&dataset).await.map_err(|e| format!("seed {seed}: no federation: {e}"))?;
        Ok(Self { seed, rng, tables, local, subject, _dataset: dataset })
    }

    async fn run(mut self, statements: usize, summary: &mut Summary) -> Result<(), String> {
        for number in 0..statements {
            let statement = generate::statement(&mut self.rng, &self.tables);
            match self.try_out(&statement).await {
                Outcome::Agreed { rows } => {
                    summary.agreed += 1;
                    summary.with_rows += usize::from(rows > 0);
                }
                Outcome::NoAnswer(error) => summary.errors.push(format!("{error}\n  {}", statement.sql())),
                Outcome::Differ(first) => return Err(self.report(number, statement, &first).await),
            }
        }
        Ok(())
    }

    async fn try_out(&self, statement: &Relation) -> Outcome {
        let sql = statement.sql();
        let local = self.ask_one_process(&sql).await;
        match (local, self.subject.query(&sql).await) {
            (Ok(local), Ok(answer)) => match compare(&local, &answer, Promise::Multiset) {
                Ok(()) => Outcome::Agreed { rows: answer.batches.iter().map(|batch| batch.num_rows()).sum() },
                Err(difference) => Outcome::Differ(difference),
            },
            // Either side may fail where the other does not: DataFusion 55.2 fails to plan a statement in a few thousand.
            (Err(local), _) => Outcome::NoAnswer(local),
            (Ok(_), Err(error)) => Outcome::Differ(format!("one process answers, the federation fails: {error}")),
        }
    }

    /// In a task of its own, because DataFusion 55.2 panics on a statement in a few thousand.
    async fn ask_one_process(&self, sql: &str) -> Result<Answer, String> {
        let (ctx, sql) = (self.local.clone(), sql.to_string());
        let answer = tokio::spawn(async move { local_answer(&ctx, &sql).await });
        answer.await.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
    }

    async fn report(&self, number: usize, statement: Relation, first: &str) -> String {
        let mut smallest = (statement.clone(), first.to_string());
        let mut budget = shrink::ATTEMPTS;
        'smaller: loop {
            for candidate in shrink::candidates(&smallest.0) {
                if budget == 0 {
                    break 'smaller;
                }
                budget -= 1;
                if let Outcome::Differ(difference) = self.try_out(&candidate).await {
                    smallest = (candidate, difference);
                    continue 'smaller;
                }
            }
            break;
        }
        let plan = self.subject.query(&format!("EXPLAIN {}", smallest.0.sql())).await;
        let plan = plan.map_or_else(
            |error| error,
            |plan| pretty_format_batches(&plan.batches).map_or_else(|e| e.to_string(), |table| table.to_string()),
        );
        format!(
            "statement {number} of the data set of seed {seed} differs; CHANCERY_RANDOM_SEED={seed} repeats it\n\
             smallest statement found:\n  {}\n{}\n{plan}\nfirst found as:\n  {}\n{first}",
            smallest.0.sql(),
            smallest.1,
            statement.sql(),
            seed = self.seed,
        )
    }
}

//! Kept statements over a federation and over one process: which of the answers differ.

use datafusion::error::Result;

use crate::cluster::Cluster;
use crate::dataset::{Dataset, local_context};
use crate::oracle::{compare, local_answer};
use crate::statements::Statement;

/// What came of asking both.
#[derive(Debug, Default)]
pub struct Compared {
    /// How many gave the same answer.
    pub agreed: usize,
    /// Those to which one process has no answer, with its error.
    pub unanswered: Vec<String>,
    /// Those that differ, and how.
    pub wrong: Vec<String>,
    /// What the coordinator's log says of statements whose check refused them.
    pub not_proven: Vec<String>,
}

impl Compared {
    /// Asks every statement of the cluster and of one process over the same data set.
    ///
    /// # Errors
    /// If there is no such process.
    pub async fn of(dataset: &Dataset, cluster: &Cluster, statements: &[Statement]) -> Result<Self> {
        let (local, client) = (local_context(dataset).await?, cluster.client().await);
        let mut compared = Self::default();
        for statement in statements {
            let expected = match local_answer(&local, &statement.sql).await {
                Ok(expected) => expected,
                Err(error) => {
                    compared.unanswered.push(format!("{}: {error}", statement.name));
                    continue;
                }
            };
            let difference = match client.query(&statement.sql).await {
                Ok(actual) => compare(&expected, &actual, statement.promise),
                Err(error) => Err(error),
            };
            match difference {
                Ok(()) => compared.agreed += 1,
                Err(difference) => compared.wrong.push(format!("{}: {difference}", statement.name)),
            }
        }
        let log = cluster.coordinator().log();
        compared.not_proven = log.lines().filter(|line| line.contains("not proven")).map(str::to_string).collect();
        Ok(compared)
    }

    /// Fails the test that asked if any differ, or more than so many were not answered by one process.
    ///
    /// # Panics
    /// Then, with all of them.
    pub fn assert_all_agree(&self, unanswered_max: usize) {
        println!("{} agreed, {} unanswered by one process", self.agreed, self.unanswered.len());
        assert!(self.wrong.is_empty(), "{} differ:\n{}", self.wrong.len(), self.wrong.join("\n\n"));
        assert!(self.not_proven.is_empty(), "the statement check refused:\n{}", self.not_proven.join("\n"));
        let unanswered = self.unanswered.len();
        assert!(unanswered <= unanswered_max, "{unanswered} unanswered:\n{}", self.unanswered.join("\n"));
    }
}

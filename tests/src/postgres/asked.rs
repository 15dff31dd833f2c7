//! What a source has asked of the server, as the server's log has it.

use super::{Postgres, READER};

impl Postgres {
    /// Every statement of the sources' account so far, with the parameters that came with it, and what the server said of it.
    pub fn asked(&self) -> Vec<String> {
        records(&self.log())
    }
}

/// The records of the account, without what stands before each: `<process> <account> <application> LOG:  `.
fn records(log: &str) -> Vec<String> {
    let mut records: Vec<String> = vec![];
    let mut is_ours = false;
    for line in log.lines() {
        // A line that continues another begins with a tab.
        if let Some(more) = line.strip_prefix('\t') {
            if let Some(record) = records.last_mut().filter(|_| is_ours) {
                record.push('\n');
                record.push_str(more);
            }
            continue;
        }
        is_ours = line.split(' ').nth(1) == Some(READER);
        if is_ours {
            records.push(line.splitn(4, ' ').nth(3).unwrap_or_default().to_string());
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_account_are_whole_and_those_of_others_are_not_there() {
        let log = "7 postgres psql LOG:  statement: CREATE TABLE t (\n\ta int8)\n\
                   8 reader chancery LOG:  statement: SELECT\n\t1\n\
                   9   LOG:  database system is ready\n\ta line of nobody\n\
                   8 reader chancery DETAIL:  Parameters: $1 = 'x'";
        let told = records(log);
        assert_eq!(told, ["LOG:  statement: SELECT\n1", "DETAIL:  Parameters: $1 = 'x'"]);
    }
}

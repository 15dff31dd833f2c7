//! Which of the two servers it is: what MySQL and MariaDB have different words for.

use std::time::Duration;

/// A server, recent enough to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    MySql,
    MariaDb,
}

impl Flavour {
    /// The server that calls its version so; `None` if it is too old. Both need common table expressions, a collation that
    /// pads nothing, and casts to double.
    pub(super) fn of(version: &str) -> Option<Self> {
        let (flavour, least) = match version.contains("MariaDB") {
            true => (Self::MariaDb, [10, 5, 0]),
            false => (Self::MySql, [8, 0, 17]),
        };
        let numbers = version.split(|character: char| !character.is_ascii_digit()).map(str::parse::<u32>);
        let numbers: Vec<u32> = numbers.take(least.len()).collect::<Result<_, _>>().ok()?;
        (numbers.as_slice() >= least.as_slice()).then_some(flavour)
    }

    /// The collation of UTF-8 under which text is equal, and ordered, by its bytes, those of trailing spaces included.
    pub(super) fn collation(self) -> &'static str {
        match self {
            Self::MySql => "utf8mb4_0900_bin",
            Self::MariaDb => "utf8mb4_nopad_bin",
        }
    }

    /// What is pinned in a session of this server alone: after what time it ends a statement by itself; and that it joins by
    /// a hash where there is no index, which MySQL does unasked.
    pub(super) fn pins(self, limit: Duration) -> String {
        match self {
            Self::MySql => format!("SET max_execution_time = {}", limit.as_millis()),
            Self::MariaDb => format!("SET max_statement_time = {}, join_cache_level = 4", limit.as_secs_f64()),
        }
    }

    /// The questions whether what a replica is sent is in its own binary log too, and where in the log a snapshot stands, if
    /// the server tells that. MySQL does not.
    pub(super) fn place_of_snapshot(self) -> Option<[&'static str; 2]> {
        match self {
            Self::MySql => None,
            Self::MariaDb => Some(["SELECT @@global.log_slave_updates", "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_tells_the_server() {
        let check = |version, expect| assert_eq!(Flavour::of(version), expect, "{version}");
        check("10.11.19-MariaDB-0+deb12u1-log", Some(Flavour::MariaDb));
        check("11.8.2-MariaDB", Some(Flavour::MariaDb));
        check("10.4.34-MariaDB", None);
        check("8.0.17", Some(Flavour::MySql));
        check("8.4.0-log", Some(Flavour::MySql));
        check("8.0.16", None);
        check("5.7.44-log", None);
        check("Aurora", None);
    }
}

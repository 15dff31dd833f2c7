//! What the server's errors mean: the one place that reads its codes.

use mysql_async::{DriverError, Error, ServerError as Told};

use crate::fault::{Meaning, ServerError};

impl ServerError for Error {
    fn meaning(&self) -> Meaning {
        match self {
            Self::Server(told) => meaning(told),
            Self::Driver(
                DriverError::UnknownAuthPlugin { .. }
                | DriverError::MysqlOldPasswordDisabled
                | DriverError::CleartextPluginDisabled,
            ) => Meaning::Unauthenticated,
            _ => Meaning::Unavailable,
        }
    }
}

/// By MySQL's "Server Error Message Reference" and MariaDB's "Error Codes", whose numbers are the same below 1900.
fn meaning(told: &Told) -> Meaning {
    match told.code {
        // Access denied, with and without a password; a host that no account may come from.
        1045 | 1698 | 1130 => Meaning::Unauthenticated,
        // Denied: a database, a table, a column, a privilege; a view whose definer may not.
        1044 | 1142 | 1143 | 1227 | 1356 | 1370 => Meaning::Forbidden,
        // Connections of the server, of an account; other limits of an account; memory, disk, locks.
        1040 | 1203 | 1226 | 1021 | 1037 | 1038 | 1041 | 1114 | 1205 | 1206 => Meaning::Exhausted,
        // Interrupted; by MariaDB's `max_statement_time`; by MySQL's `max_execution_time`.
        1317 | 1969 | 3024 => Meaning::Ended,
        // A table, a column, a view's table gone; text of another character set; a definition newer than the snapshot.
        1146 | 1054 | 1051 | 1253 | 1412 => Meaning::Changed,
        _ if told.state.starts_with("22") => Meaning::BadValue,
        _ => Meaning::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning() {
        let check = |code, state: &str, expect| {
            let error = Error::Server(Told { code, message: "secret".into(), state: state.into() });
            assert_eq!(error.meaning(), expect, "{code}");
        };
        check(1045, "28000", Meaning::Unauthenticated);
        check(1142, "42000", Meaning::Forbidden);
        check(1040, "08004", Meaning::Exhausted);
        check(1317, "70100", Meaning::Ended);
        check(1969, "70100", Meaning::Ended);
        check(1412, "HY000", Meaning::Changed);
        check(1146, "42S02", Meaning::Changed);
        check(1690, "22003", Meaning::BadValue);
        check(1053, "08S01", Meaning::Unavailable);
        check(1927, "70100", Meaning::Unavailable);
        let weak = Error::Driver(DriverError::CleartextPluginDisabled);
        assert_eq!(weak.meaning(), Meaning::Unauthenticated);
    }
}

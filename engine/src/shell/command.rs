//! The backslash commands: what a user may ask of the shell itself, parsed from one line.

use clap::ValueEnum;

use super::error::ShellError;
use super::format::Format;
use super::options::Switch;

/// What `\?` prints.
pub(super) const HELP: &str = "\
SQL statements end with ; and may span lines. Ctrl-C cancels, Ctrl-R searches the history, Ctrl-D quits.

  \\l                 catalogs: the sites, and system
  \\dn [PATTERN]      schemas
  \\dt [PATTERN]      tables; PATTERN is [[SITE.]SCHEMA.]TABLE with * and ?, as in \\dt bts.ontime.f*
  \\d  [TABLE]        columns of a table; without a name as \\dt
  \\ledger            what the last query moved across each border
  \\format [FORMAT]   table, csv, json or markdown
  \\timing [on|off]   tell each statement's time
  \\limit [ROWS|off]  rows of an answer to show
  \\?                 this help
  \\q                 quit; so do quit and exit";

/// One command, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Quit,
    Catalogs,
    Schemas(Option<String>),
    Tables(Option<String>),
    Columns(String),
    Ledger,
    Format(Option<Format>),
    /// Without a value: the other one.
    Timing(Option<Switch>),
    /// `None` tells the limit, `Some(None)` lifts it.
    Limit(Option<Option<usize>>),
}

impl Command {
    /// Parses a line that begins with a backslash.
    pub(super) fn parse(line: &str) -> Result<Self, ShellError> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = Some(argument.trim()).filter(|text| !text.is_empty());
        match name {
            "\\?" | "\\h" => without_argument(name, argument, Self::Help),
            "\\q" => without_argument(name, argument, Self::Quit),
            "\\l" => without_argument(name, argument, Self::Catalogs),
            "\\ledger" => without_argument(name, argument, Self::Ledger),
            "\\dn" => Ok(Self::Schemas(argument.map(str::to_owned))),
            "\\dt" => Ok(Self::Tables(argument.map(str::to_owned))),
            "\\d" => Ok(argument.map_or(Self::Tables(None), |table| Self::Columns(table.to_owned()))),
            "\\format" => Ok(Self::Format(argument.map(format_named).transpose()?)),
            "\\timing" => Ok(Self::Timing(argument.map(switch_named).transpose()?)),
            "\\limit" => Ok(Self::Limit(argument.map(limit_named).transpose()?)),
            _ => Err(ShellError::Command(format!("unknown command {name}; \\? lists them"))),
        }
    }
}

/// The command that a plain word at the prompt stands for, as newcomers try them.
pub(super) fn of_plain_word(entry: &str) -> Option<&'static str> {
    let word = entry.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
    match word.as_str() {
        "quit" | "exit" => Some("\\q"),
        "help" => Some("\\?"),
        _ => None,
    }
}

fn without_argument(name: &str, argument: Option<&str>, command: Command) -> Result<Command, ShellError> {
    match argument {
        None => Ok(command),
        Some(text) => Err(ShellError::Command(format!("{name} takes no argument, and was given {text}"))),
    }
}

fn format_named(name: &str) -> Result<Format, ShellError> {
    Format::from_str(name, true)
        .map_err(|_| ShellError::Command(format!("unknown format {name}; use table, csv, json or markdown")))
}

fn switch_named(name: &str) -> Result<Switch, ShellError> {
    Switch::from_str(name, true).map_err(|_| ShellError::Command(format!("\\timing is on or off, not {name}")))
}

fn limit_named(name: &str) -> Result<Option<usize>, ShellError> {
    if name.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    match name.parse() {
        Ok(rows) if rows > 0 => Ok(Some(rows)),
        _ => Err(ShellError::Command(format!("\\limit is a number of rows or off, not {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Command) {
        assert_eq!(Command::parse(line).unwrap(), expect, "{line}");
    }

    #[test]
    fn commands() {
        check("\\?", Command::Help);
        check("\\q;", Command::Quit);
        check("\\l", Command::Catalogs);
        check("\\dn", Command::Schemas(None));
        check("\\dn bts.*", Command::Schemas(Some("bts.*".to_owned())));
        check("\\dt  f* ", Command::Tables(Some("f*".to_owned())));
        check("\\d", Command::Tables(None));
        check("\\d bts.ontime.\"航班 表\";", Command::Columns("bts.ontime.\"航班 表\"".to_owned()));
        check("\\ledger", Command::Ledger);
        check("\\format", Command::Format(None));
        check("\\format CSV", Command::Format(Some(Format::Csv)));
        check("\\timing", Command::Timing(None));
        check("\\timing off", Command::Timing(Some(Switch::Off)));
        check("\\limit", Command::Limit(None));
        check("\\limit off", Command::Limit(Some(None)));
        check("\\limit 50", Command::Limit(Some(Some(50))));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expect) in [
            ("\\dx", "unknown command \\dx; \\? lists them"),
            ("\\", "unknown command \\; \\? lists them"),
            ("\\q now", "\\q takes no argument, and was given now"),
            ("\\format xml", "unknown format xml; use table, csv, json or markdown"),
            ("\\timing maybe", "\\timing is on or off, not maybe"),
            ("\\limit 0", "\\limit is a number of rows or off, not 0"),
        ] {
            assert_eq!(Command::parse(line).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn plain_words() {
        assert_eq!(of_plain_word(" EXIT; "), Some("\\q"));
        assert_eq!(of_plain_word("quit"), Some("\\q"));
        assert_eq!(of_plain_word("help"), Some("\\?"));
        assert_eq!(of_plain_word("SELECT 1;"), None);
    }
}

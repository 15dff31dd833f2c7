//! The backslash commands: what a user may ask of the shell itself, parsed from one line.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::error::ShellError;
use super::format::Format;
use super::options::Switch;

/// What `\?` prints.
pub(super) const HELP: &str = "\
SQL statements end with ; and may span lines. Tab completes, Ctrl-C cancels, Ctrl-R searches the history,
Ctrl-D quits.

  \\l                 catalogs: the sites, and system
  \\dn [PATTERN]      schemas
  \\dt [PATTERN]      tables; PATTERN is [[SITE.]SCHEMA.]TABLE with * and ?, as in \\dt bts.ontime.f*
  \\d  [TABLE]        columns of a table; without a name as \\dt
  \\policy TABLE      in which form you would see its columns, by which policies; or of a SELECT
  \\purpose [NAME]    what you ask for; `default` is your own one again
  \\sites             the sites, and what your queries moved across the border of each
  \\explain [SQL]     what each site would be asked, of the last statement when none is given
  \\ledger            what the last query moved across each border
  \\format [FORMAT]   table, vertical, csv, tsv, json, markdown, arrow or parquet
  \\x [on|off]        a line for each value
  \\o [FILE]          write answers to a file; without one, to standard output again
  \\e [FILE]          edit the last statement, or a file, in $VISUAL or $EDITOR, and run what it then is
  \\watch [SECONDS]   ask the last statement again and again, until Ctrl-C
  \\pager [on|off]    read answers in $PAGER, at a terminal
  \\timing [on|off]   tell each statement's time
  \\limit [ROWS|off]  rows of an answer to show
  \\?                 this help
  \\q                 quit; so do quit and exit";

/// The names of all, for the prompt to complete.
pub(super) const NAMES: &[&str] = &[
    "\\?",
    "\\d",
    "\\dn",
    "\\dt",
    "\\e",
    "\\explain",
    "\\format",
    "\\l",
    "\\ledger",
    "\\limit",
    "\\o",
    "\\pager",
    "\\policy",
    "\\purpose",
    "\\q",
    "\\sites",
    "\\timing",
    "\\watch",
    "\\x",
];

/// How often `\watch` asks unless it is told.
const WATCH_DEFAULT: Duration = Duration::from_secs(2);

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
    /// A table, or a query.
    Policy(String),
    /// Without a name: which one it is.
    Purpose(Option<String>),
    Sites,
    /// Without a statement: the last one.
    Explain(Option<String>),
    /// Without a value: the other one.
    Expanded(Option<Switch>),
    /// Without a file: standard output.
    Output(Option<PathBuf>),
    /// Without a file: the last statement.
    Edit(Option<PathBuf>),
    Watch(Duration),
    /// Without a value: the other one.
    Pager(Option<Switch>),
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
            "\\policy" => match argument {
                Some(subject) => Ok(Self::Policy(subject.to_owned())),
                None => Err(ShellError::Command("\\policy wants a table, or a SELECT".to_owned())),
            },
            "\\purpose" => Ok(Self::Purpose(argument.map(str::to_owned))),
            "\\sites" => without_argument(name, argument, Self::Sites),
            "\\explain" => Ok(Self::Explain(argument.map(str::to_owned))),
            "\\x" => Ok(Self::Expanded(argument.map(|text| switch_named(name, text)).transpose()?)),
            "\\e" => Ok(Self::Edit(argument.map(PathBuf::from))),
            "\\watch" => Ok(Self::Watch(argument.map_or(Ok(WATCH_DEFAULT), seconds_named)?)),
            "\\pager" => Ok(Self::Pager(argument.map(|text| switch_named(name, text)).transpose()?)),
            "\\o" => Ok(Self::Output(argument.map(PathBuf::from))),
            "\\format" => Ok(Self::Format(argument.map(format_named).transpose()?)),
            "\\timing" => Ok(Self::Timing(argument.map(|text| switch_named(name, text)).transpose()?)),
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
        .map_err(|_| ShellError::Command(format!("unknown format {name}; use {}", Format::names())))
}

fn switch_named(command: &str, name: &str) -> Result<Switch, ShellError> {
    Switch::from_str(name, true).map_err(|_| ShellError::Command(format!("{command} is on or off, not {name}")))
}

fn seconds_named(text: &str) -> Result<Duration, ShellError> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|pause| !pause.is_zero())
        .ok_or_else(|| ShellError::Command(format!("\\watch is a number of seconds, not {text}")))
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
        check("\\policy bts.ontime.flights", Command::Policy("bts.ontime.flights".to_owned()));
        check("\\policy SELECT 1;", Command::Policy("SELECT 1".to_owned()));
        check("\\purpose", Command::Purpose(None));
        check("\\purpose safety analysis", Command::Purpose(Some("safety analysis".to_owned())));
        check("\\sites", Command::Sites);
        check("\\explain", Command::Explain(None));
        check("\\explain SELECT 1;", Command::Explain(Some("SELECT 1".to_owned())));
        check("\\x", Command::Expanded(None));
        check("\\x on", Command::Expanded(Some(Switch::On)));
        check("\\e", Command::Edit(None));
        check("\\e a.sql", Command::Edit(Some(PathBuf::from("a.sql"))));
        check("\\watch", Command::Watch(WATCH_DEFAULT));
        check("\\watch 0.5", Command::Watch(Duration::from_millis(500)));
        check("\\pager off", Command::Pager(Some(Switch::Off)));
        check("\\o", Command::Output(None));
        check("\\o a file.parquet", Command::Output(Some(PathBuf::from("a file.parquet"))));
        check("\\format", Command::Format(None));
        check("\\format parquet", Command::Format(Some(Format::Parquet)));
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
            ("\\format xml", "unknown format xml; use table, vertical, csv, tsv, json, markdown, arrow or parquet"),
            ("\\policy", "\\policy wants a table, or a SELECT"),
            ("\\sites all", "\\sites takes no argument, and was given all"),
            ("\\watch 0", "\\watch is a number of seconds, not 0"),
            ("\\watch -1", "\\watch is a number of seconds, not -1"),
            ("\\watch soon", "\\watch is a number of seconds, not soon"),
            ("\\x maybe", "\\x is on or off, not maybe"),
            ("\\timing maybe", "\\timing is on or off, not maybe"),
            ("\\limit 0", "\\limit is a number of rows or off, not 0"),
        ] {
            assert_eq!(Command::parse(line).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn every_command_is_known_to_the_prompt_and_to_the_help() {
        for name in NAMES {
            assert!(!matches!(Command::parse(name), Err(error) if error.to_string().starts_with("unknown")), "{name}");
            assert!(HELP.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}");
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

//! `slt-records ROOT FILE…`: the records of each file below ROOT, one line of JSON each, in their order.
//!
//! ```text
//! {"file": …, "at": "12", "sql": …, "expects": {"rows": [line, …], "types": "IT", "sorted": true}}   what `query IT rowsort` is
//! {"file": …, "at": "cleanup.slt.part:3", "sql": …, "expects": "nothing" | "error"}                 a statement; one that fails
//! ```
//!
//! A record of an included file stands where it is included. What is for another engine alone is left out.

use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sqllogictest::{
    ColumnType, Condition, Location, QueryExpect, Record, SortMode, StatementExpect, parse_file,
};

/// What a record is for when it is for one engine alone.
const ENGINE: [&str; 2] = ["DataFusion", "Datafusion"];

/// A column's letter, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Letter(char);

impl ColumnType for Letter {
    fn from_char(letter: char) -> Option<Self> {
        Some(Self(letter))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_default();
    match tell(Path::new(&root), arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slt-records: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(root: &Path, files: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(stdout().lock());
    for file in files {
        let path = root.join(&file);
        let records = parse_file::<Letter>(&path).map_err(|error| format!("{file}: {error}"))?;
        for record in records {
            if let Some((location, sql, expects)) = told(record) {
                let at = place(&path, &location);
                writeln!(out, "{}", json!({"file": file, "at": at, "sql": sql, "expects": expects}))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// The line, with the file's name where it is an included one.
fn place(file: &Path, location: &Location) -> String {
    let of = Path::new(location.file());
    let name = of.file_name().filter(|_| of != file);
    name.map_or_else(String::new, |name| format!("{}:", name.display())) + &location.line().to_string()
}

fn told(record: Record<Letter>) -> Option<(Location, String, Value)> {
    let (conditions, told) = match record {
        Record::Statement { loc, conditions, sql, expected, .. } => {
            let fails = matches!(expected, StatementExpect::Error(_));
            (conditions, (loc, sql, if fails { "error".into() } else { "nothing".into() }))
        }
        Record::Query { loc, conditions, sql, expected, .. } => (conditions, (loc, sql, answer(expected))),
        _ => return None,
    };
    conditions.iter().all(is_for_the_engine).then_some(told)
}

fn answer(expected: QueryExpect<Letter>) -> Value {
    match expected {
        QueryExpect::Error(_) => "error".into(),
        QueryExpect::Results { types, sort_mode, results, .. } => {
            let types: String = types.iter().map(ColumnType::to_char).collect();
            json!({"types": types, "sorted": sort_mode == Some(SortMode::RowSort), "rows": results})
        }
    }
}

fn is_for_the_engine(condition: &Condition) -> bool {
    match condition {
        Condition::OnlyIf { label } => ENGINE.contains(&label.as_str()),
        Condition::SkipIf { label } => !ENGINE.contains(&label.as_str()),
    }
}

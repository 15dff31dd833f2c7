//! The second opinion: DuckDB answers the corpus and TPC-H as one DataFusion process does, or the corpus says why not.
//!
//! `tests/all` runs it, because it needs Python: `CHANCERY_TEST_PYTHON` is an interpreter that has `duckdb` and `pyarrow`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use arrow::ipc::reader::FileReader;
use datafusion::prelude::SessionContext;
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::oracle::{Answer, compare_values, local_answer};
use harness::statements::{DuckDb, Statement, corpus, tpch_queries};
use harness::tpch::tpch;
use serde_json::json;

type Error = Box<dyn std::error::Error>;

/// The scale at which the issue wants the queries of TPC-H to agree.
const SCALE: f64 = 0.1;

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let mut tally = Tally::default();
    tally.check("corpus", &edge().await?, corpus()).await?;
    tally.check("tpch", &tpch(SCALE)?, tpch_queries()).await?;
    println!(
        "oracle_duckdb: {} statements agree, {} differ as explained, {} fail",
        tally.agreed,
        tally.explained,
        tally.failures.len()
    );
    for failure in &tally.failures {
        println!("\n{failure}");
    }
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, Default)]
struct Tally {
    agreed: usize,
    explained: usize,
    failures: Vec<String>,
}

impl Tally {
    async fn check(&mut self, name: &str, dataset: &Dataset, statements: Vec<Statement>) -> Result<(), Error> {
        let out = tempfile::tempdir()?;
        run_duckdb(dataset, &statements, out.path()).map_err(|e| format!("{name}: {e}"))?;
        let ctx = local_context(dataset).await?;
        for (index, statement) in statements.iter().enumerate() {
            let duckdb = read_answer(&out.path().join(index.to_string()));
            self.count(statement, agree(&ctx, statement, duckdb).await);
        }
        Ok(())
    }

    /// An explanation must be needed: one that has become untrue is a failure too.
    fn count(&mut self, statement: &Statement, verdict: Result<(), String>) {
        match (&statement.duckdb, verdict) {
            (DuckDb::Differs(_), Err(_)) => self.explained += 1,
            (DuckDb::Differs(_), Ok(())) => {
                self.failures.push(format!("{}: DuckDB agrees, so the explanation is wrong", statement.name))
            }
            (_, Ok(())) => self.agreed += 1,
            (_, Err(difference)) => self.failures.push(format!("{}:\n{}{difference}", statement.name, statement.sql)),
        }
    }
}

fn run_duckdb(dataset: &Dataset, statements: &[Statement], out: &Path) -> Result<(), Error> {
    let python = std::env::var("CHANCERY_TEST_PYTHON")
        .map_err(|_| "CHANCERY_TEST_PYTHON is not set: run tests/all, which sets it")?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/duckdb_oracle.py");
    let manifest = out.join("manifest.json");
    serde_json::to_writer(File::create(&manifest)?, &describe(dataset, statements))?;
    let status = Command::new(&python).arg(script).arg(&manifest).arg(out).status()?;
    if status.success() { Ok(()) } else { Err(format!("duckdb_oracle.py ended with {status}").into()) }
}

fn describe(dataset: &Dataset, statements: &[Statement]) -> serde_json::Value {
    let tables =
        dataset.tables.iter().map(|t| json!({"site": t.site, "source": t.source, "name": t.name, "path": t.path}));
    let regional = dataset
        .regional
        .iter()
        .map(|t| json!({"site": t.catalog, "source": t.schema, "name": t.name, "sql": t.union_all()}));
    let texts = statements.iter().map(|statement| match &statement.duckdb {
        DuckDb::Text(text) => text,
        DuckDb::Same | DuckDb::Differs(_) => &statement.sql,
    });
    json!({
        "tables": tables.collect::<Vec<_>>(),
        "regional": regional.collect::<Vec<_>>(),
        "statements": texts.collect::<Vec<_>>(),
    })
}

/// What the script left for a statement: an answer, or DuckDB's reason for none.
fn read_answer(path: &Path) -> Result<Answer, String> {
    if let Ok(reason) = std::fs::read_to_string(path.with_extension("error")) {
        return Err(format!("DuckDB refuses: {reason}"));
    }
    let read = || -> Result<Answer, Error> {
        let reader = FileReader::try_new(File::open(path.with_extension("arrow"))?, None)?;
        Ok(Answer { schema: reader.schema(), batches: reader.collect::<Result<Vec<_>, _>>()? })
    };
    read().map_err(|e| format!("{}: {e}", path.display()))
}

async fn agree(ctx: &SessionContext, statement: &Statement, duckdb: Result<Answer, String>) -> Result<(), String> {
    let local = local_answer(ctx, &statement.sql).await.map_err(|e| format!("DataFusion refuses: {e}"))?;
    compare_values(&local, &duckdb?, statement.promise)
}

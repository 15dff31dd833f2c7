//! Checks of what a source holds: its tables, their types, all their rows, in any encoding it claims.

use futures::future::try_join_all;

use super::rows::{Request, named, rows_where};
use super::{Trial, Verdict, expect, unexpected};
use crate::error::ErrorKind;

const SCANS_AT_ONCE: usize = 8;

pub(super) async fn tables_are_listed_by_name(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let listed: Vec<_> = source.tables().await.map_err(unexpected)?.into_iter().map(|(name, _)| name).collect();
    let mut expected: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
    expected.sort();
    expect(listed == expected, || format!("expected {expected:?}, listed {listed:?}"))
}

pub(super) async fn types_are_plain(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    for expected in &tables {
        let table = source.table(&expected.name).await.map_err(unexpected)?;
        let schema = &table.description.schema;
        let shape = |schema: &arrow::datatypes::Schema| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        let (came, asked) = (shape(schema), shape(&expected.rows.schema()));
        expect(came == asked, || format!("`{}`: expected {asked:?}, described {came:?}", expected.name))?;
        expect(table.provider.schema() == *schema, || format!("`{}`: provider and description differ", expected.name))?;
        let has_metadata =
            !schema.metadata().is_empty() || schema.fields().iter().any(|field| !field.metadata().is_empty());
        expect(!has_metadata, || format!("`{}`: the schema carries metadata", expected.name))?;
    }
    Ok(())
}

pub(super) async fn all_rows_come_back(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    for expected in &tables {
        let table = source.table(&expected.name).await.map_err(unexpected)?;
        let rows = trial.rows(&table, &Request::default()).await?;
        let asked = rows_where(expected, |_| true)?;
        expect(rows == asked, || difference(&expected.name, &asked, &rows))?;
        for batch in trial.batches(&table, &Request::default()).await.map_err(unexpected)? {
            expect(batch.schema() == table.description.schema, || {
                format!("`{}`: a batch has another schema: {}", expected.name, batch.schema())
            })?;
        }
    }
    Ok(())
}

/// Claimed: the same rows come back from another encoding. Not claimed: the option is refused.
pub(super) async fn encodings(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let encoded = trial.place.load_encoded(&tables, "gb18030").await;
    if !source.capability().encodings {
        return match encoded {
            Err(error) if error.kind() == ErrorKind::Internal || error.kind() == ErrorKind::Unsupported => Ok(()),
            other => Err(format!("not claimed, so it must be refused; came {other:?}")),
        };
    }
    let source = encoded.map_err(unexpected)?;
    for expected in &tables {
        let table = source.table(&expected.name).await.map_err(unexpected)?;
        let rows = trial.rows(&table, &Request::default()).await?;
        let asked = rows_where(expected, |_| true)?;
        expect(rows == asked, || difference(&expected.name, &asked, &rows))?;
    }
    Ok(())
}

pub(super) async fn scans_run_side_by_side(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let table = source.table("long").await.map_err(unexpected)?;
    let request = Request::default();
    let scans = try_join_all((0..SCANS_AT_ONCE).map(|_| trial.rows(&table, &request))).await?;
    let expected = rows_where(named(&tables, "long")?, |_| true)?;
    expect(scans.iter().all(|rows| *rows == expected), || "scans at the same time gave different rows".to_owned())
}

fn difference<T: std::fmt::Debug + PartialEq>(table: &str, expected: &[T], came: &[T]) -> String {
    let missing = expected.iter().find(|row| !came.contains(row));
    let surplus = came.iter().find(|row| !expected.contains(row));
    format!(
        "`{table}`: expected {} rows, came {}; the first missing {missing:?}, the first surplus {surplus:?}",
        expected.len(),
        came.len()
    )
}

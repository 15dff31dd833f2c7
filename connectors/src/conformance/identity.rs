//! Checks of names and versions: what is not there is not found, and what has changed is not what was described.

use std::path::Path;

use super::rows::{Request, named, rows_where};
use super::{FixtureTable, Trial, Verdict, expect, unexpected};
use crate::error::{ConnectorError, ErrorKind};

pub(super) async fn an_unknown_table_is_not_found(trial: Trial<'_>) -> Verdict {
    let (_, source) = trial.loaded().await?;
    // Another spelling is another name.
    for name in ["Orders", "地", "", "../orders"] {
        match source.table(name).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => return Err(format!("`{name}`: expected not found, came {other:?}")),
        }
    }
    Ok(())
}

pub(super) fn an_unknown_option_is_named(trial: Trial<'_>) -> Verdict {
    let mut options = toml::Table::new();
    options.insert("no_such_option".to_owned(), toml::Value::Boolean(true));
    let faults = trial.place.connector().check(&options, Path::new("."));
    expect(faults.iter().any(|fault| fault.key == "no_such_option"), || format!("faults named: {faults:?}"))
}

pub(super) async fn versions_follow_content(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let version =
        async |name: &str| source.table(name).await.map(|table| table.description.version.clone()).map_err(unexpected);
    let (orders, regions) = (version("orders").await?, version("地区").await?);
    expect(version("orders").await? == orders, || "the version changed and the content did not".to_owned())?;
    trial.place.replace(&changed(&tables)?).await.map_err(unexpected)?;
    // What is read at the moment has a version for its columns alone, and these are the same.
    let differs = version("orders").await? != orders;
    expect(differs == source.capability().pinned_versions, || format!("the content changed; the version: {differs}"))?;
    expect(version("地区").await? == regions, || "another table's version changed".to_owned())?;
    let table = source.table("orders").await.map_err(unexpected)?;
    let rows = trial.rows(&table, &Request::default()).await?;
    let expected = rows_where(&changed(&tables)?, |_| true)?;
    expect(rows == expected, || format!("expected the new content, came {rows:?}"))
}

/// Claimed: what was described before a change can no longer be read. Not claimed: it reads the content of the moment.
pub(super) async fn pinned_versions(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let before = source.table("orders").await.map_err(unexpected)?;
    trial.place.replace(&changed(&tables)?).await.map_err(unexpected)?;
    let read = trial.batches(&before, &Request::default()).await;
    match (source.capability().pinned_versions, read) {
        (false, Ok(_)) => Ok(()),
        (true, Err(error)) if matches!(ConnectorError::find(&error), Some(ConnectorError::Changed { .. })) => Ok(()),
        (_, other) => Err(format!("came {other:?}")),
    }
}

/// The table `orders` with fewer rows.
fn changed(tables: &[FixtureTable]) -> Result<FixtureTable, String> {
    let orders = named(tables, "orders")?;
    Ok(FixtureTable { name: orders.name.clone(), rows: orders.rows.slice(1, 3) })
}

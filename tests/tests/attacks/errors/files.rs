//! Files that are damaged once their table was described.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use harness::dataset::{Dataset, Table};

use super::{Doors, ROWS, refused_without_secret, start, tables};

/// What becomes of a table's file once it was described.
type Damage = fn(&Path);
const DAMAGED: [(&str, Damage); 6] = [
    ("garbled", garble_pages),
    ("unreadable", garble_all),
    ("shortened", shorten),
    ("vanished", remove),
    ("cut", cut_in_a_row),
    ("mistyped", mistype),
];
/// Tables that are kept as CSV; all others are Parquet.
const TEXTS: [&str; 2] = ["cut", "mistyped"];

/// The pages between the first bytes and the footer, of a file that looks unchanged.
fn garble_pages(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let pages = 4..bytes.len() - 8 - footer;
    bytes[pages].iter_mut().for_each(|byte| *byte ^= 0xa5);
    fs::write(path, bytes).unwrap();
    touched(path, modified);
}

fn garble_all(path: &Path) {
    fs::write(path, vec![0xa5; 5_000]).unwrap();
}

fn shorten(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// In the middle of a row. (A reader of CSV takes what is cut within quotes for a value.)
fn cut_in_a_row(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let at = text[text.len() / 2..].find(",\"").unwrap() + text.len() / 2;
    fs::write(path, &text[..at]).unwrap();
}

/// A text where there was a number, in a file that looks unchanged.
fn mistype(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let text = fs::read_to_string(path).unwrap().replace("\n19999,", "\nSECRT,");
    fs::write(path, text).unwrap();
    touched(path, modified);
}

fn touched(path: &Path, modified: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn data() -> Dataset {
    let parquet = DAMAGED.iter().map(|(name, _)| *name).filter(|name| !TEXTS.contains(name));
    let mut data = tables(parquet.chain(["linked", "whole"]));
    for name in TEXTS {
        let path = data.root.join("north").join("trade").join(format!("{name}.csv"));
        let lines: String = (0..ROWS).map(|n| format!("{n},\"told, {n}\",1970-01-01\n")).collect();
        fs::write(&path, format!("n,told,day\n{lines}")).unwrap();
        let [site, source, name] = ["north", "trade", name].map(str::to_string);
        data.tables.push(Table { site, source, name, path, primary_key: Vec::new() });
    }
    data
}

/// What was told in other words than ours.
pub(super) async fn damaged() -> Vec<String> {
    let data = data();
    let mut cluster = start(&data).await;
    let mut doors = Doors::of(&cluster).await;
    for (name, damage) in DAMAGED {
        doors.answered(name).await;
        damage(&data.table("north", "trade", name).path);
        doors.refused(name, name, &["SITE_UNAVAILABLE", "STALE", "NOT_FOUND", "EVAL"]).await;
    }
    doors.answered("linked").await;
    // A site does not start over a table that has no file at all.
    garble_all(&data.table("north", "trade", "vanished").path);
    let doors = refused_without_secret(&mut cluster, doors.failures).await;
    doors.refused_when_killed(&mut cluster).await
}

//! Smaller pairs than one whose worlds can be told apart: fewer rows, columns, tables and policies, plainer files, a smaller
//! statement. Each is still a pair of twins, or it shows nothing.

use super::statements::Asked;
use super::world::{Layout, Pair};

/// So many pairs are tried for one difference.
pub const ATTEMPTS: usize = 500;

/// Pairs that are smaller by one step, the largest steps first.
pub fn candidates(pair: &Pair) -> Vec<Pair> {
    let mut smaller = fewer_tables(pair);
    smaller.extend(fewer_rows(pair));
    smaller.extend(smaller_statements(pair));
    smaller.extend(fewer_policies(pair));
    smaller.extend(fewer_columns(pair));
    smaller.extend(plainer_files(pair));
    smaller.retain(Pair::is_twin);
    smaller
}

fn changed(pair: &Pair, change: impl FnOnce(&mut Pair)) -> Pair {
    let mut copy = pair.clone();
    change(&mut copy);
    copy
}

fn fewer_tables(pair: &Pair) -> Vec<Pair> {
    let tables = if pair.tables.len() > 1 { 0..pair.tables.len() } else { 0..0 };
    let without = |index: usize| {
        changed(pair, |copy| {
            copy.tables.remove(index);
            copy.worlds.iter_mut().for_each(|world| drop(world.remove(index)));
        })
    };
    tables.map(without).collect()
}

/// Without a half, a quarter, …, one of a table's visible rows, or of the hidden ones of one world.
fn fewer_rows(pair: &Pair) -> Vec<Pair> {
    let mut smaller = vec![];
    for table in 0..pair.tables.len() {
        let mut ids: Vec<usize> =
            pair.worlds.iter().flat_map(|world| world[table].rows.iter().map(|row| row.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut part = ids.len().div_ceil(2);
        while part > 0 {
            smaller.extend(ids.chunks(part).map(|gone| {
                changed(pair, |copy| {
                    for world in &mut copy.worlds {
                        world[table].rows.retain(|row| !gone.contains(&row.id));
                    }
                })
            }));
            part /= 2;
        }
    }
    smaller.sort_by_key(|pair| pair.worlds.iter().flatten().map(|contents| contents.rows.len()).sum::<usize>());
    smaller
}

fn smaller_statements(pair: &Pair) -> Vec<Pair> {
    let [Asked::Statement(question, way)] = pair.asked.as_slice() else { return vec![] };
    let smaller = question.smaller().into_iter();
    smaller.map(|question| changed(pair, |copy| copy.asked = vec![Asked::Statement(question, *way)])).collect()
}

fn fewer_policies(pair: &Pair) -> Vec<Pair> {
    let each = |table: usize| (0..pair.tables[table].policy.written.len()).map(move |index| (table, index));
    let all = (0..pair.tables.len()).flat_map(each);
    all.map(|(table, index)| changed(pair, |copy| copy.tables[table].policy = copy.tables[table].policy.without(index)))
        .collect()
}

/// Without a column that no policy names; a table keeps one.
fn fewer_columns(pair: &Pair) -> Vec<Pair> {
    let mut smaller = vec![];
    for (table, of) in pair.tables.iter().enumerate() {
        for (position, column) in of.columns.iter().enumerate() {
            let written = of.policy.written.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let is_last = of.columns.len() == 1;
            if is_last || written.contains(&column.name) || of.policy.tagged.contains(&column.name) {
                continue;
            }
            smaller.push(changed(pair, |copy| {
                copy.tables[table].columns.remove(position);
                for row in copy.worlds.iter_mut().flat_map(|world| &mut world[table].rows) {
                    row.cells.remove(position);
                }
            }));
        }
    }
    smaller
}

/// With one file of one row group in both worlds; or only with the same cuts.
fn plainer_files(pair: &Pair) -> Vec<Pair> {
    let plain = Layout { row_group_rows: 1_000, ..Layout::default() };
    let is_plain = |table: usize| {
        pair.worlds
            .iter()
            .all(|world| world[table].layout.cuts.is_empty() && world[table].layout.row_group_rows == 1_000)
    };
    let others = (0..pair.tables.len()).filter(|table| !is_plain(*table));
    others
        .map(|table| changed(pair, |copy| copy.worlds.iter_mut().for_each(|world| world[table].layout = plain.clone())))
        .collect()
}

//! Names that are unique in a statement and meet no name of the tables it reads.

use std::collections::BTreeSet;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_expr::LogicalPlan;

/// Gives out the names of steps, tables and columns.
#[derive(Debug)]
pub(super) struct Names {
    step: String,
    table: String,
    column: String,
    steps: usize,
    tables: usize,
}

impl Names {
    /// Names apart from every table and column that `plan` reads: a step may not hide a table, nor a result column
    /// be taken for one of a table.
    pub(super) fn apart_from(plan: &LogicalPlan) -> Self {
        let mut taken = BTreeSet::new();
        // The closure cannot fail.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                // Some databases take names for the same that differ in case.
                taken.insert(scan.table_name.table().to_lowercase());
                taken.extend(scan.source.schema().fields().iter().map(|field| field.name().to_lowercase()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        Self { step: prefix("n", &taken), table: prefix("t", &taken), column: prefix("c", &taken), steps: 0, tables: 0 }
    }

    pub(super) fn next_step(&mut self) -> String {
        self.steps += 1;
        format!("{}{}", self.step, self.steps - 1)
    }

    pub(super) fn next_table(&mut self) -> String {
        self.tables += 1;
        format!("{}{}", self.table, self.tables - 1)
    }

    /// The columns of the step that comes next.
    pub(super) fn columns(&self, width: usize) -> Vec<String> {
        (0..width).map(|position| format!("{}{}_{position}", self.column, self.steps)).collect()
    }

    /// A column that nobody names.
    pub(super) fn marker(&self) -> String {
        format!("{}_", self.column)
    }
}

/// The shortest repetition of `letter` after which no taken name goes on with a digit.
fn prefix(letter: &str, taken: &BTreeSet<String>) -> String {
    let mut prefix = letter.to_owned();
    let meets = |prefix: &str| {
        taken.iter().any(|name| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
    };
    while meets(&prefix) {
        prefix.push_str(letter);
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_meets_no_name_with_a_number_after_it() {
        let check = |letter: &str, taken: &[&str], expect: &str| {
            let taken = taken.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(prefix(letter, &taken), expect);
        };
        check("t", &["customer", "total"], "t");
        check("t", &["t1"], "tt");
        check("c", &["c0_0", "cc9"], "ccc");
    }
}

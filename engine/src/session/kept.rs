//! What is kept of statements that were asked before, for when they are asked again.
//!
//! **Invariant:** no plan is kept that is another one at another execution: with a placeholder, or a function of another value
//! each time. Whether what it was made from still stands is asked by whoever finds it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use parking_lot::Mutex;

/// Longer statements are planned each time: what is kept of them would be as long.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024;

/// By what something is found again.
pub type Key = blake3::Hash;

/// So many things at most, each by the question that it was made for.
#[derive(Debug)]
pub struct Kept<T> {
    uses: Mutex<Uses<T>>,
    most: usize,
}

#[derive(Debug)]
struct Uses<T> {
    by_question: HashMap<Key, (u64, Arc<T>)>,
    /// The higher a number, the later the use.
    last: u64,
}

impl<T> Kept<T> {
    /// Nothing yet.
    pub fn new(most: usize) -> Self {
        Self { uses: Mutex::new(Uses { by_question: HashMap::new(), last: 0 }), most }
    }

    /// What is kept under that key.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        let mut uses = self.uses.lock();
        uses.last += 1;
        let now = uses.last;
        let (last, kept) = uses.by_question.get_mut(key)?;
        *last = now;
        Some(Arc::clone(kept))
    }

    /// Keeps something. When there is too much, the half that was not used for longest makes room.
    pub fn keep(&self, key: Key, what: Arc<T>) {
        if self.most == 0 {
            return;
        }
        // Others do not wait until what is forgotten is gone from memory.
        let forgotten = self.uses.lock().put(key, what, self.most);
        drop(forgotten);
    }

    /// Forgets what stands no more.
    pub fn forget(&self, key: &Key) {
        let forgotten = self.uses.lock().by_question.remove(key);
        drop(forgotten);
    }
}

impl<T> Uses<T> {
    /// Puts something there, and returns what makes room for it.
    fn put(&mut self, key: Key, what: Arc<T>, most: usize) -> Vec<(u64, Arc<T>)> {
        let mut forgotten = Vec::new();
        if self.by_question.len() >= most && !self.by_question.contains_key(&key) {
            let mut all: Vec<u64> = self.by_question.values().map(|(last, _)| *last).collect();
            let middle = all.len() / 2;
            let middle = *all.select_nth_unstable(middle).1;
            forgotten.extend(self.by_question.extract_if(|_, (last, _)| *last <= middle).map(|(_, old)| old));
        }
        self.last += 1;
        forgotten.extend(self.by_question.insert(key, (self.last, what)));
        forgotten
    }
}

/// Whether every execution of an analyzed plan is of the same plan.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub fn is_fixed(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut fixed = true;
    plan.apply_with_subqueries(|node| {
        // The arguments of a function that makes rows are evaluated before there is a plan.
        fixed &= !matches!(node, LogicalPlan::TableScan(scan) if scan.table_name.table().ends_with("()"));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                fixed &= match expr {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    Expr::Placeholder(_) | Expr::ScalarVariable(..) => false,
                    _ => true,
                };
                Ok(if fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    })?;
    Ok(fixed)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn a_plan_that_hangs_on_its_execution_is_told() {
        for (sql, fixed) in [
            ("SELECT upper('a'), sum(column1) FROM (VALUES (1)) GROUP BY column1", true),
            ("SELECT now()", false),
            ("SELECT 1 WHERE EXISTS (SELECT 1 WHERE current_date > DATE '2024-01-01')", false),
            ("SELECT 1 WHERE random() > 0.5", false),
            ("SELECT * FROM range(0, CAST(date_part('epoch', now()) AS BIGINT))", false),
            ("SELECT $1", false),
        ] {
            let plan = SessionContext::new().state().create_logical_plan(sql).await.unwrap();
            assert_eq!(is_fixed(&plan).unwrap(), fixed, "{sql}");
        }
    }

    #[test]
    fn what_was_used_last_stays() {
        let keys: Vec<Key> = (0_u8..5).map(|number| blake3::hash(&[number])).collect();
        let kept = Kept::new(4);
        keys.iter().take(4).for_each(|key| kept.keep(*key, Arc::new(())));
        assert!(kept.get(&keys[0]).is_some());
        kept.keep(keys[4], Arc::new(()));
        let there: Vec<bool> = keys.iter().map(|key| kept.get(key).is_some()).collect();
        assert_eq!(there, [true, false, false, false, true]);
        kept.forget(&keys[0]);
        assert!(kept.get(&keys[0]).is_none());
        let none = Kept::new(0);
        none.keep(keys[0], Arc::new(()));
        assert!(none.get(&keys[0]).is_none());
    }
}

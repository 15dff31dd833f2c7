//! What all scans of one statement share: sources that can read at one moment keep that moment here.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One statement's scans. Whoever runs a statement puts a fresh one into its session as an extension
/// (`SessionConfig::with_extension`); a source finds it in the task's context. Without one, each scan stands alone.
///
/// What is kept here is dropped with the last stream of the statement.
#[derive(Default)]
pub struct ReadScope {
    shared: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl ReadScope {
    /// The scope's one `T`, made when it is first asked for.
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shared.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // INVARIANT: what stands under a type is of that type.
        Arc::clone(kept).downcast().unwrap_or_default()
    }
}

impl fmt::Debug for ReadScope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReadScope")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_one_of_each_type() {
        let scope = ReadScope::default();
        scope.shared::<Mutex<Vec<u8>>>().lock().unwrap().push(7);
        assert_eq!(*scope.shared::<Mutex<Vec<u8>>>().lock().unwrap(), [7]);
        assert_eq!(*scope.shared::<Mutex<String>>().lock().unwrap(), "");
    }
}

//! Which threads may wait for a disk: those on which statements run. Those that answer calls must not, whatever a disk does.

use std::cell::Cell;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread may wait.
pub fn let_this_thread_wait() {
    MAY_WAIT.set(true);
}

/// Whether this thread may.
pub(crate) fn this_thread_may_wait() -> bool {
    MAY_WAIT.get()
}

//! How a server's log is written, and that what it says of a statement tells which one.

/// How the lines of a log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// Each line a JSON object; what is said of a statement has `query_id`, `trace_id`, `node` and `subject` in its `span`.
    Json,
}

/// Lines of tasks that DataFusion and the connectors spawn for a statement carry what its others do.
pub(super) mod in_span {
    use std::any::Any;

    use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use tracing::{Instrument, Span};

    type Made = Box<dyn Any + Send>;

    struct InCurrentSpan;

    impl JoinSetTracer for InCurrentSpan {
        fn trace_future(&self, future: BoxFuture<'static, Made>) -> BoxFuture<'static, Made> {
            future.in_current_span().boxed()
        }

        fn trace_block(&self, block: Box<dyn FnOnce() -> Made + Send>) -> Box<dyn FnOnce() -> Made + Send> {
            let span = Span::current();
            Box::new(move || span.in_scope(block))
        }
    }

    /// From now on, in all of this process.
    pub(in crate::command) fn everywhere() {
        // It can be set once, and nobody else does.
        let _ = set_join_set_tracer(&InCurrentSpan);
    }
}

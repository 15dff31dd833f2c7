//! DataFusion's options as every node of Chancery pins them; a client can change none of them.

use std::sync::Arc;

use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionConfig;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;

use crate::config::limits::Limits;
use crate::exec::physical_rules;
use crate::session::bounded::bound_functions;
use crate::session::spill::{Spilled, sealed_files};
use crate::session::standard_sql;
use crate::session::zoned::keep_zones;

/// The session that every statement of a node starts from: all functions, no tables, pinned options, one memory pool, and what
/// does not fit into it sealed on the disk.
///
/// # Errors
/// When the runtime of the memory pool cannot be made.
pub fn base_state(limits: &Limits) -> DataFusionResult<SessionState> {
    let spilled = Arc::<Spilled>::default();
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(sealed_files(limits.spill_bytes_max, Arc::clone(&spilled)))
        .build_arc()?;
    let mut state = SessionStateBuilder::new()
        .with_config(pinned(limits.target_partitions).with_extension(spilled))
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rules(physical_rules(limits));
    state.expr_planners().get_or_insert_default().push(standard_sql::planner());
    bound_functions(keep_zones(state.build())?, limits)
}

/// The pinned options. Text is plain Utf8 everywhere (no views), so that the planner's types, a fragment's types at the
/// site and the types on the wire are the same; identifiers, null order, decimals and time zone are fixed.
fn pinned(target_partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_create_default_catalog_and_schema(false).with_information_schema(false);
    if target_partitions > 0 {
        config = config.with_target_partitions(target_partitions);
    }
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // What expressions make is counted by functions around them, of which the operators' check of NULLs knows nothing.
    options.execution.skip_physical_aggregate_schema_check = true;
    // Errors say where in the statement.
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("+00:00".to_string());
    // DataFusion 55.2 loses rows of a top-N over UNION ALL: it sorts each arm without the keys that are constant in it,
    // while all arms share one bound of what is still needed; and pushed into a scan, the bound skips row groups by
    // statistics that know nothing of NaN.
    options.optimizer.repartition_sorts = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    config
}

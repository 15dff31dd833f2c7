//! From a bound statement to what each site runs and what is left for the coordinator.
//!
//! [`pipeline`] is the order of it all: DataFusion's rules, then [`group_joins`], [`split_unions`] and [`late_columns`]
//! (with [`estimate`]'s cardinalities), DataFusion's rules again over the new shape, then [`cut_fragments`], each fragment
//! written as a statement that [`prove`] has compared with it; and [`key_sets`], by which one fragment reduces another. At a
//! site, [`at_site`]. Before any of it, [`expansion`] says whether the statement would become larger than it may.

pub mod aggregate_only;
pub mod at_site;
pub mod average;
#[cfg(test)]
mod barrier_attacks;
#[cfg(test)]
pub(crate) mod barrier_fixture;
pub mod columns;
pub mod cross_barrier;
pub mod cut_fragments;
pub mod estimate;
pub mod expansion;
pub mod fragment_node;
pub mod group_joins;
pub mod key_sets;
pub mod late_columns;
pub mod order;
pub mod pipeline;
pub mod prove;
pub mod push_to_sources;
pub mod sites;
pub mod source_node;
pub mod split_unions;
pub mod verify_barriers;

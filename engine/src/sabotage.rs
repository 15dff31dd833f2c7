//! Controls that tests may switch off, one at a time, to see that the attacks then succeed: a test that stays green
//! without the control it is about shows nothing.
//!
//! Only a build with the feature `sabotage` has the switches; without it [`thrown`] is a constant `false`. `tests/sabotage`
//! throws each of them and says which test goes red.

/// A control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The barrier between what a policy reads and what an asker evaluates: `barrier`.
    Barrier,
    /// The proof that every governed leaf of a physical plan lies under its barrier: `verifier`.
    Verifier,
    /// The rebuilding of every batch that leaves: `egress`.
    Egress,
    /// The closed list of statement classes: `statements`.
    Statements,
    /// The list of functions over governed data: `functions`.
    Functions,
    /// The rule of aggregate-only columns, and the release of groups: `aggregates`.
    Aggregates,
    /// The check of a delegation's signature and subject: `delegation`.
    Delegation,
    /// A delegation is accepted once: `replay`.
    Replay,
    /// A purpose must be held: `purpose`.
    Purpose,
    /// The intent is on the disk before anything leaves: `intent`.
    Intent,
    /// A lapsed right stops a running statement: `warrant`.
    Warrant,
    /// Statistics tell nothing of hidden values: `statistics`.
    Statistics,
    /// The list of what crosses a barrier downwards, which is shorter where rows are hidden: `crossing`.
    Crossing,
    /// No value of one site is sent to another: `disclosure`.
    Disclosure,
    /// An error is told in our words, without what caused it: `redaction`.
    Redaction,
    /// The record has hashes where statements have literals: `literals`.
    Literals,
    /// What leaves is counted against a grant's limits: `caps`.
    Caps,
    /// What files say of themselves stays behind, and a schema that leaves has no metadata: `metadata`, at sources too.
    Metadata,
}

impl Control {
    /// Every control.
    pub const ALL: [Control; 18] = [
        Control::Barrier,
        Control::Verifier,
        Control::Egress,
        Control::Statements,
        Control::Functions,
        Control::Aggregates,
        Control::Delegation,
        Control::Replay,
        Control::Purpose,
        Control::Intent,
        Control::Warrant,
        Control::Statistics,
        Control::Crossing,
        Control::Disclosure,
        Control::Redaction,
        Control::Literals,
        Control::Caps,
        Control::Metadata,
    ];

    /// The word by which `CHANCERY_SABOTAGE` names it.
    pub fn name(self) -> &'static str {
        match self {
            Control::Barrier => "barrier",
            Control::Verifier => "verifier",
            Control::Egress => "egress",
            Control::Statements => "statements",
            Control::Functions => "functions",
            Control::Aggregates => "aggregates",
            Control::Delegation => "delegation",
            Control::Replay => "replay",
            Control::Purpose => "purpose",
            Control::Intent => "intent",
            Control::Warrant => "warrant",
            Control::Statistics => "statistics",
            Control::Crossing => "crossing",
            Control::Disclosure => "disclosure",
            Control::Redaction => "redaction",
            Control::Literals => "literals",
            Control::Caps => "caps",
            Control::Metadata => "metadata",
        }
    }
}

/// Has the log say when a node starts that it has switches, and not in the middle of whatever asks for one first.
#[cfg(feature = "sabotage")]
pub fn announce() {
    Control::ALL.into_iter().for_each(|control| _ = thrown(control));
}

/// Nothing: a build without the feature has no switches.
#[cfg(not(feature = "sabotage"))]
pub const fn announce() {}

/// Whether the control is switched off in this process.
#[cfg(feature = "sabotage")]
pub fn thrown(control: Control) -> bool {
    use std::sync::LazyLock;
    static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let words = crate::config::environment::variable("CHANCERY_SABOTAGE").unwrap_or_default();
        let words: Vec<String> = words.split(',').filter(|word| !word.is_empty()).map(ToString::to_string).collect();
        tracing::warn!(?words, "this build has switches that turn its controls off: it must serve nobody's data");
        words
    });
    WORDS.iter().any(|word| word == control.name())
}

/// Whether the control is switched off: never, in a build without the feature.
#[cfg(not(feature = "sabotage"))]
pub const fn thrown(_control: Control) -> bool {
    false
}

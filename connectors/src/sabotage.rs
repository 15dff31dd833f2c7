//! The one control of a source that tests may switch off: what a file says of itself stays behind. The engine has the others,
//! under the same variable; only a build with the feature `sabotage` has any.

/// Whether what files say of their columns comes with them.
#[cfg(feature = "sabotage")]
pub(crate) fn keeps_metadata() -> bool {
    use std::sync::LazyLock;
    #[expect(clippy::disallowed_methods, reason = "a switch of tests, and no setting of the program")]
    static KEEPS_METADATA: LazyLock<bool> = LazyLock::new(|| {
        let words = std::env::var("CHANCERY_SABOTAGE").unwrap_or_default();
        words.split(',').any(|word| word == "metadata")
    });
    *KEEPS_METADATA
}

/// Whether what files say of their columns comes with them: never, in a build without the feature.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn keeps_metadata() -> bool {
    false
}

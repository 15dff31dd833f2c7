//! The process environment: read here and nowhere else, so that what a node depends on can be listed. Beside it the library
//! that exports spans reads OpenTelemetry's own variables, of which those of headers and resource attributes count.

/// The variable that holds the password of `chancery sql`.
pub const PASSWORD: &str = "CHANCERY_PASSWORD";

/// The value of a variable; `None` when it is unset, empty, or not Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

//! What a longer run asks of the tests: numbers in the environment, each with the one that CI takes.

use std::fmt::Display;
use std::str::FromStr;

/// The number in the variable `name`, or `default`; what is no number ends the test.
pub fn number<T>(name: &str, default: T) -> T
where
    T: FromStr<Err: Display>,
{
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name} = {text:?}: {error}")),
        Err(_) => default,
    }
}

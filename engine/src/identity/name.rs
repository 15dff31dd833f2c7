//! What a user's name may be, so that no two users of different kinds are ever sealed and recorded under one label.

/// The longest name.
const NAME_BYTES_MAX: usize = 255;
/// Stands between a name and the coordinator that speaks for it; see [`super::asker::Asker::label`].
pub(super) const VIA: &str = " via ";

/// Checks the name of a user of a users file. Basic cannot carry a colon, and issuers' names have one.
pub(super) fn check_local(name: &str) -> Result<(), String> {
    if check_any(name).is_ok() && !name.contains(':') && !name.contains(VIA) {
        return Ok(());
    }
    Err(format!(
        "a user's name has 1 to {NAME_BYTES_MAX} bytes, no colon, no control character, no ` via `, and no space at its \
         ends"
    ))
}

/// Checks a name that an issuer of tokens gives: whatever fits on one line of a record.
pub(super) fn check_any(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.trim() == name;
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("a user's name has 1 to {NAME_BYTES_MAX} bytes, no control character, and no space at its ends"))
}

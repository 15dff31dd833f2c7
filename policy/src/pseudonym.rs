//! Pseudonyms: a keyed name in place of an identifier, the same at every site that holds the secret.
//!
//! Without the key a pseudonym says nothing; with it everything: every identifier of a country is tried in hours. So the
//! secret stays in the site's process, `Debug` shows no key, and nothing else is ever computed from an identifier.
//!
//! How a pseudonym is made, for whoever must make the same one elsewhere (`lp(x)` is the length of x in four bytes, big
//! end first, then x):
//!
//! ```text
//! key       = HKDF(salt = "chancery pseudonym 1", secret, info = lp("key") lp(purpose) lp(domain) lp(epoch in 4 bytes))
//!             → 32 bytes
//! pseudonym = the first 26 characters of base32 (RFC 4648, lower case) of HMAC(key, canonical value): 130 bits
//! ```
//!
//! Both with SHA-256, or both with SM3. The canonical value is a text in UTF-8: `mask/pseudonym.rs` says which.

use std::fmt;
use std::hash::{Hash, Hasher};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hkdf::Hkdf;
use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sm3::Sm3;

const SALT: &[u8] = b"chancery pseudonym 1";
const SECRET_BYTES_MIN: usize = 32;
/// Characters of a pseudonym.
const LENGTH: usize = 26;

/// The hash function under the pseudonyms; all linked sites use one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PseudonymHash {
    /// SHA-256.
    Sha256,
    /// SM3 (GB/T 32905).
    Sm3,
}

/// A site's secret, from which the keys of all its pseudonyms come.
#[derive(Clone)]
pub struct PseudonymKeys {
    secret: Secret,
    epoch: u32,
}

#[derive(Clone)]
enum Secret {
    Sha256(Hkdf<Sha256>),
    Sm3(Hkdf<Sm3>),
}

impl PseudonymKeys {
    /// The keys of one epoch under a secret of at least 32 bytes. Another epoch gives other pseudonyms.
    ///
    /// # Errors
    /// If the secret is shorter.
    pub fn new(secret: &[u8], hash: PseudonymHash, epoch: u32) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("the secret for pseudonyms has fewer than {SECRET_BYTES_MIN} bytes"));
        }
        let secret = match hash {
            PseudonymHash::Sha256 => Secret::Sha256(Hkdf::new(Some(SALT), secret)),
            PseudonymHash::Sm3 => Secret::Sm3(Hkdf::new(Some(SALT), secret)),
        };
        Ok(Self { secret, epoch })
    }

    /// What makes the pseudonyms of one domain for one purpose. Those of two purposes or domains cannot be linked.
    ///
    /// # Errors
    /// Never for names of sensible length; a failure denies.
    pub fn pseudonyms(&self, purpose: &str, domain: &str) -> Result<Pseudonyms, String> {
        let derived = |label: &str| self.derive(&[label.as_bytes(), purpose.as_bytes(), domain.as_bytes()]);
        let key = derived("key")?;
        let mac = match self.secret {
            Secret::Sha256(_) => Hmac::new_from_slice(&key).map(Keyed::Sha256),
            Secret::Sm3(_) => Hmac::new_from_slice(&key).map(Keyed::Sm3),
        };
        Ok(Pseudonyms { mac: mac.map_err(|_| String::from(UNDERIVABLE))?, id: derived("id")? })
    }

    fn derive(&self, parts: &[&[u8]]) -> Result<[u8; 32], String> {
        let mut info = Vec::new();
        for part in parts.iter().copied().chain([self.epoch.to_be_bytes().as_slice()]) {
            let length = u32::try_from(part.len()).map_err(|_| String::from(UNDERIVABLE))?;
            info.extend_from_slice(&length.to_be_bytes());
            info.extend_from_slice(part);
        }
        let mut key = [0; 32];
        let expanded = match &self.secret {
            Secret::Sha256(secret) => secret.expand(&info, &mut key),
            Secret::Sm3(secret) => secret.expand(&info, &mut key),
        };
        expanded.map_err(|_| String::from(UNDERIVABLE)).map(|()| key)
    }
}

const UNDERIVABLE: &str = "no key can be derived for the pseudonyms";

impl fmt::Debug for PseudonymKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PseudonymKeys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Makes the pseudonyms of one purpose, domain and epoch. Two are equal when they make the same ones: they compare by an
/// id that is derived beside the key, and says nothing about it.
#[derive(Clone)]
pub struct Pseudonyms {
    mac: Keyed,
    id: [u8; 32],
}

/// HMAC with its key already taken in; cloned for each value.
#[derive(Clone)]
enum Keyed {
    Sha256(Hmac<Sha256>),
    Sm3(Hmac<Sm3>),
}

impl Pseudonyms {
    /// Writes the pseudonym of a canonical value into `buffer` and returns it; allocates nothing.
    pub(crate) fn of<'a>(&self, canonical: &[u8], buffer: &'a mut PseudonymBuffer) -> &'a str {
        let mac: [u8; 32] = match &self.mac {
            Keyed::Sha256(keyed) => keyed.clone().chain_update(canonical).finalize_fixed().into(),
            Keyed::Sm3(keyed) => keyed.clone().chain_update(canonical).finalize_fixed().into(),
        };
        BASE32_NOPAD.encode_mut(&mac, &mut buffer.0);
        buffer.0.make_ascii_lowercase();
        buffer.0.get(..LENGTH).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }
}

/// Room for the base32 of a whole MAC, of which a pseudonym is the beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PseudonymBuffer([u8; 52]);

impl Default for PseudonymBuffer {
    fn default() -> Self {
        Self([0; 52])
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.id;
        f.debug_tuple("Pseudonyms").field(&HEXLOWER.encode(&[first, second, third, fourth])).finish()
    }
}

impl PartialEq for Pseudonyms {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Pseudonyms {}

impl Hash for Pseudonyms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(hash: PseudonymHash, epoch: u32) -> PseudonymKeys {
        PseudonymKeys::new(&Vec::from_iter(0..32), hash, epoch).unwrap()
    }

    fn of(keys: &PseudonymKeys, purpose: &str, domain: &str, value: &str) -> String {
        keys.pseudonyms(purpose, domain).unwrap().of(value.as_bytes(), &mut PseudonymBuffer::default()).to_string()
    }

    /// Computed with Python's `hmac` and `hashlib` from the formula above.
    #[test]
    fn vectors() {
        let check = |purpose, domain, epoch, value, sha256, sm3| {
            assert_eq!(of(&keys(PseudonymHash::Sha256, epoch), purpose, domain, value), sha256);
            assert_eq!(of(&keys(PseudonymHash::Sm3, epoch), purpose, domain, value), sm3);
        };
        check("research", "resident", 1, "42", "7a4uhicl2pkwj5yzcqru4dwsrl", "oqdhsqsg5lw7cuee23g4qhnkeb");
        check("research", "resident", 2, "42", "gyk7qsdgaot6frqsr2tf75ilaf", "q34jx5nm5jsjiskhvv7j2kcon4");
        check("teaching", "resident", 1, "42", "x36pnth46dgjbphjj37scfqo7j", "u2q2kdrs2cn34phzvpswcrec4r");
        check("research", "aircraft", 1, "42", "b7sxmceyenn2wqt7ugz2aoqg2v", "xdwv3hzbza3vpl54grtp2fzb2c");
        check("research", "resident", 1, "李雷", "lpe7whbzoq7b4akwygyqxj463p", "xinqt42nr762mjlspeph4lyq72");
        check("research", "resident", 1, "", "evk3s5adbt5vd2cjctni2yj7ng", "s4to5ofr36ldiwf2dk7hi7thps");
        let id = "110105194912310021";
        check("research", "resident", 1, id, "zojli7ob5qqxwz4hgitzob67kn", "ttrwqz73f6vaoqknskmobgl36x");
    }

    #[test]
    fn purpose_and_domain_do_not_run_into_each_other() {
        let keys = keys(PseudonymHash::Sha256, 1);
        assert_ne!(of(&keys, "ab", "c", "x"), of(&keys, "a", "bc", "x"));
        assert_ne!(keys.pseudonyms("ab", "c").unwrap(), keys.pseudonyms("a", "bc").unwrap());
        assert_eq!(keys.pseudonyms("ab", "c").unwrap(), keys.pseudonyms("ab", "c").unwrap());
    }

    #[test]
    fn no_secret_is_shown_and_no_short_one_taken() {
        let keys = keys(PseudonymHash::Sha256, 7);
        assert_eq!(format!("{keys:?}"), "PseudonymKeys { epoch: 7, .. }");
        let shown = format!("{:?}", keys.pseudonyms("p", "d").unwrap());
        assert_eq!(shown.len(), "Pseudonyms(\"01234567\")".len());
        assert!(PseudonymKeys::new(&[7; 31], PseudonymHash::Sm3, 1).is_err());
    }
}

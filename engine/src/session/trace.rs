//! The trace that a statement belongs to (W3C Trace Context): its client's, or one of its own; the same at every site.

use std::fmt;
use std::sync::Arc;

use tracing::Span;

/// Where a statement stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    /// The span of the caller; `None` where the trace begins here.
    parent: Option<u64>,
    /// The statement's own span.
    span: u64,
    flags: u8,
}

/// The flag of a trace that somebody keeps.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// A span of its own in the trace that the header `traceparent` names; in a new trace where there is none, or one that
    /// cannot be read (§3.2.2 there: it is then as if there were none).
    pub fn of(header: Option<&str>) -> Self {
        let caller = header.and_then(parse);
        let (trace, parent, flags) = match caller {
            Some((trace, parent, flags)) => (trace, Some(parent), flags),
            None => (not_zero(rand::random::<u128>), None, SAMPLED),
        };
        Self { trace, parent, span: not_zero(rand::random::<u64>), flags }
    }

    /// The trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Whether somebody keeps the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The number of the trace.
    pub fn trace(&self) -> u128 {
        self.trace
    }

    /// The number of the statement's span.
    pub fn span(&self) -> u64 {
        self.span
    }

    /// The number of the caller's span, where there is one.
    pub fn parent(&self) -> Option<u64> {
        self.parent
    }

    /// The span of something that the statement has done, such as a fragment at a site.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { parent: Some(self.span), span: not_zero(rand::random::<u64>), ..*self }
    }
}

/// As the header `traceparent` has it, for whoever is called.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// All zeros stand for no identity.
fn not_zero<T: Default + PartialEq>(random: fn() -> T) -> T {
    loop {
        let number = random();
        if number != T::default() {
            return number;
        }
    }
}

/// `version-trace-parent-flags`, all in lower-case hexadecimal; later versions may add to it.
fn parse(header: &str) -> Option<(u128, u64, u8)> {
    const LENGTH: usize = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01".len();
    let (known, more) = header.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let version = hexadecimal::<2>(parts.next()?)?;
    let trace = hexadecimal::<32>(parts.next()?)?;
    let parent = u64::try_from(hexadecimal::<16>(parts.next()?)?).ok()?;
    let flags = u8::try_from(hexadecimal::<2>(parts.next()?)?).ok()?;
    let ends = match version {
        0xff => false,
        0 => more.is_empty(),
        _ => more.is_empty() || more.starts_with('-'),
    };
    (ends && parts.next().is_none() && trace != 0 && parent != 0).then_some((trace, parent, flags & SAMPLED))
}

fn hexadecimal<const DIGITS: usize>(text: &str) -> Option<u128> {
    let is_ours = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// What each line of the log about a statement carries. Its level is that of errors, so that no filter leaves it out.
pub fn span(of: &Told<'_>) -> Span {
    tracing::error_span!(
        "statement",
        query_id = of.query,
        trace_id = of.trace.trace_id(),
        node = of.node,
        site = of.site,
        subject = of.subject.as_ref(),
    )
}

/// What is told of a statement in each line.
#[derive(Debug)]
pub struct Told<'a> {
    /// The query's identity.
    pub query: &'a str,
    /// Its trace.
    pub trace: TraceContext,
    /// The node that works.
    pub node: &'a str,
    /// The same, where it is a site.
    pub site: Option<&'a str>,
    /// Who asks.
    pub subject: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_caller_s_trace_goes_on() {
        let own = TraceContext::of(Some(HEADER));
        assert_eq!(own.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(own.parent(), Some(0x00f0_67aa_0ba9_02b7));
        assert!(own.is_sampled() && own.span() != 0);
        let child = own.child();
        assert_eq!((child.trace(), child.parent()), (own.trace(), Some(own.span())));
        assert_eq!(TraceContext::of(Some(&child.to_string())).parent(), Some(child.span()));
        assert!(!TraceContext::of(Some(&HEADER.replace("-01", "-00"))).is_sampled());
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one() {
        let later = HEADER.replacen("00", "cc", 1);
        assert!(parse(HEADER).is_some() && parse(&later).is_some() && parse(&format!("{later}-more")).is_some());
        for wrong in [
            "",
            "00",
            &HEADER.to_uppercase(),
            &format!("{HEADER}-more"),
            &format!("{later}more"),
            &HEADER.replacen("00", "ff", 1),
            &HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &HEADER.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &HEADER.replace("-01", "-0g"),
            &HEADER.replace('-', "_"),
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
            let own = TraceContext::of(Some(wrong));
            assert!(own.trace() != 0 && own.parent().is_none());
        }
        assert_ne!(TraceContext::of(None).trace(), TraceContext::of(None).trace());
    }
}

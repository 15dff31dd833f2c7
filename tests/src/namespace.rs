//! A network namespace in which servers run, so that a link lies between them and who asks them.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

/// Where servers without a namespace listen.
pub(crate) const BESIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A namespace that exists, and the address at which it is reached. Only root may run programs in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// The name that `ip netns` knows.
    pub name: String,
    /// The address of its own interface.
    pub address: Ipv4Addr,
}

impl Namespace {
    /// The program, to be run there: `ip` becomes it, so that the process is the program's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The program, to be run in the namespace, or here when there is none.
    pub(crate) fn command_in(namespace: Option<&Self>, program: impl AsRef<OsStr>) -> Command {
        namespace.map_or_else(|| Command::new(program.as_ref()), |namespace| namespace.command(program.as_ref()))
    }

    /// Where servers in the namespace listen, or here when there is none.
    pub(crate) fn address_of(namespace: Option<&Self>) -> Ipv4Addr {
        namespace.map_or(BESIDE, |namespace| namespace.address)
    }
}

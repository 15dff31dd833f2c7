//! The command line of `chancery sql`: the first thing read, before anything is connected.

use std::path::PathBuf;

use clap::ValueEnum;

use super::address::ServerAddress;
use super::format::Format;

/// Ask a coordinator or a site over Flight SQL, from a prompt or in one shot.
///
/// Without -c and -f, statements come from standard input: from a prompt when it is a terminal, else from what is piped
/// in. The password comes from CHANCERY_PASSWORD, from --password-file, or from a prompt; never from the command line.
#[derive(Debug, clap::Args)]
pub struct SqlArgs {
    /// Server: [grpc://]HOST[:PORT] in plain text, grpc+tls://HOST[:PORT] over TLS [default: grpc://127.0.0.1:32010]
    #[arg(value_name = "URL", env = "CHANCERY_URL")]
    pub(super) server: Option<ServerAddress>,

    /// Profile of ~/.config/chancery/profiles.toml that says what the command line does not
    #[arg(long, value_name = "NAME", env = "CHANCERY_PROFILE")]
    pub(super) profile: Option<String>,

    /// User to sign in as
    #[arg(short, long, env = "CHANCERY_USER")]
    pub(super) user: Option<String>,

    /// File with the password on its first line
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,

    /// Statements to run, separated by `;`, or a backslash command; may be given several times
    #[arg(short, long = "command", value_name = "SQL", conflicts_with = "file")]
    pub(super) commands: Vec<String>,

    /// File of statements to run; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,

    /// How results are written [default: table]
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,

    /// File that results are written to, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Whether each statement's time is told on standard error [default: on at a prompt, else off]
    #[arg(long, value_enum)]
    pub(super) timing: Option<Switch>,

    /// Certificate authority, PEM, that vouches for the server (with grpc+tls://)
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: Option<PathBuf>,

    /// Neither read nor write the history of the prompt
    #[arg(long)]
    pub(super) no_history: bool,
}

/// How a server is reached by a command that asks it one thing.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// Server: [grpc://]HOST[:PORT] in plain text, grpc+tls://HOST[:PORT] over TLS
    #[arg(long, value_name = "URL", env = "CHANCERY_URL", default_value = "grpc://127.0.0.1:32010")]
    address: ServerAddress,

    /// User to sign in as
    #[arg(short, long, env = "CHANCERY_USER")]
    user: String,

    /// File with the password on its first line; else CHANCERY_PASSWORD, or a prompt
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Certificate authority, PEM, that vouches for the server (with grpc+tls://)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// How results are written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl ServerArgs {
    /// The shell's arguments for that one statement.
    pub fn asking(self, statement: String) -> SqlArgs {
        let Self { address, user, password_file, tls_ca, format } = self;
        SqlArgs {
            server: Some(address),
            profile: None,
            user: Some(user),
            password_file,
            commands: vec![statement],
            file: None,
            format: Some(format),
            output: None,
            timing: None,
            tls_ca,
            no_history: true,
        }
    }
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

impl Switch {
    pub(super) fn flipped(self) -> Self {
        Self::from(self == Self::Off)
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

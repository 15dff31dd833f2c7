//! The command line: subcommands to their files, errors to standard error, outcomes to exit codes.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::log_format::LogFormat;
use super::{audit, certs, check_config, demo, policy, running, serve, state, user};
use crate::error::Result;
use crate::identity::tls::install_crypto_provider;
use crate::shell;

/// Deep plans recurse; a worker's stack has room for what the statement budgets let through.
const STACK_BYTES: usize = 16 << 20;

/// How long work is waited for that cannot be cancelled once the command is done: a read of a file system that hangs never
/// ends. What must be on the disk is there by then.
const BLOCKED_WORK: Duration = Duration::from_secs(5);

/// The libraries of this workspace, which log no literal and no value.
const OURS: [&str; 4] = ["chancery", "engine", "connectors", "policy"];

/// A federated SQL engine for data that may be used but not taken.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a site beside its data.
    Site(serve::NodeArgs),
    /// Run a coordinator.
    Coordinator(serve::NodeArgs),
    /// Run a coordinator and its sites in one process.
    Serve(serve::NodeArgs),
    /// Start a federation of three agencies with real data, ask it a few questions, and serve it.
    Demo(demo::DemoArgs),
    /// Ask statements: one-shot or interactively.
    Sql(Box<shell::SqlArgs>),
    /// List and end what runs at a node.
    #[command(subcommand)]
    Query(running::QueryCommand),
    /// List and end the sessions that are open at a node.
    #[command(subcommand)]
    Session(running::SessionCommand),
    /// Make certificates for development.
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Keep the file of users and passwords.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Look at policies in files before they are in force; make the secret behind pseudonyms.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Read the evidence of a site, and find what was done to it.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy what a node keeps, bring it back, and look whether it can be used.
    #[command(subcommand)]
    State(state::StateCommand),
    /// Check configuration files and name every fault.
    CheckConfig(check_config::CheckConfigArgs),
}

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_standard_error(arguments.command.log_format());
    install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(Box::pin(dispatch(arguments.command)));
            runtime.shutdown_timeout(BLOCKED_WORK);
            ended
        }
        Err(error) => {
            tracing::error!("no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    ended.unwrap_or_else(|error| {
        eprintln!("chancery: {error}");
        tracing::debug!("{}", error.chain());
        ExitCode::FAILURE
    })
}

/// The log goes to standard error, so that standard output is the command's own. `RUST_LOG` says how much of it.
fn log_to_standard_error(format: LogFormat) {
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let most = asked.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let kept = filter_fn(|metadata| may_be_logged(metadata.target(), *metadata.level())).with_max_level_hint(most);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(asked.and(kept))).init();
    // DataFusion asks `log` whether it may trace, and then prints batches, hidden rows and all, to standard output.
    log::set_max_level(log::LevelFilter::Warn);
}

/// Whatever `RUST_LOG` asks for: below a warning, other libraries write down statements, plans and their literals.
fn may_be_logged(target: &str, level: Level) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    level <= Level::WARN || OURS.contains(&library)
}

impl Command {
    /// How the log is written; what is no server speaks to a person.
    fn log_format(&self) -> LogFormat {
        match self {
            Command::Site(args) | Command::Coordinator(args) | Command::Serve(args) => args.log_format,
            Command::Demo(_)
            | Command::Sql(_)
            | Command::Query(_)
            | Command::Session(_)
            | Command::Certs(_)
            | Command::User(_)
            | Command::Policy(_)
            | Command::Audit(_)
            | Command::State(_)
            | Command::CheckConfig(_) => LogFormat::Text,
        }
    }
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Site(args) => serve::site(args).await,
        Command::Coordinator(args) => serve::coordinator(args).await,
        Command::Serve(args) => serve::serve(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Sql(args) => Ok(shell::run(*args).await),
        Command::Query(command) => Ok(running::query(command).await),
        Command::Session(command) => Ok(running::session(command).await),
        Command::Certs(command) => certs::run(command),
        Command::User(command) => user::run(command),
        Command::Policy(command) => policy::run(command).await,
        Command::Audit(command) => audit::run(command),
        Command::State(command) => state::run(command),
        Command::CheckConfig(args) => check_config::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_other_libraries_warnings_are_logged_and_no_more() {
        assert!(may_be_logged("engine::flight::status", Level::TRACE));
        assert!(may_be_logged("datafusion_optimizer::optimizer", Level::WARN));
        for library in ["sqlparser::parser", "datafusion::physical_planner", "log", "engineering", ""] {
            assert!(!may_be_logged(library, Level::INFO), "{library}");
        }
    }
}

//! `chancery query` and `chancery session`: what runs at a node and who is signed in there, listed and ended. Each command is one
//! statement at the node's door, which says who may: one's own, and an administrator everybody's.

use std::process::ExitCode;

use crate::shell::{self, ServerArgs, SqlArgs};

/// `chancery query …`
#[derive(Debug, clap::Subcommand)]
pub enum QueryCommand {
    /// List the queries that run: your own, or everybody's if you administer the node.
    List(ServerArgs),
    /// End a running query, there and at every site.
    Kill(NamedArgs),
}

/// `chancery session …`
#[derive(Debug, clap::Subcommand)]
pub enum SessionCommand {
    /// List the open sessions: your own, or everybody's if you administer the node.
    List(ServerArgs),
    /// End a session, and what runs in it; an issuer's token opens no other one.
    End(NamedArgs),
}

/// What is to be ended, and where.
#[derive(Debug, clap::Args)]
pub struct NamedArgs {
    /// Its id, as the list has it
    id: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs `chancery query`.
pub async fn query(command: QueryCommand) -> ExitCode {
    run(match command {
        QueryCommand::List(server) => server.asking("SELECT * FROM system.queries.running".to_string()),
        QueryCommand::Kill(named) => named.ending("QUERY"),
    })
    .await
}

/// Runs `chancery session`.
pub async fn session(command: SessionCommand) -> ExitCode {
    run(match command {
        SessionCommand::List(server) => server.asking("SELECT * FROM system.sessions.open".to_string()),
        SessionCommand::End(named) => named.ending("SESSION"),
    })
    .await
}

async fn run(args: SqlArgs) -> ExitCode {
    shell::run(args).await
}

impl NamedArgs {
    fn ending(self, what: &str) -> SqlArgs {
        let id = self.id.replace('\'', "''");
        self.server.asking(format!("KILL {what} '{id}'"))
    }
}

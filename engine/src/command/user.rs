//! `chancery user`: who may ask a node, kept in its users file. Passwords come from a prompt, a file or standard input,
//! never from the command line, where every process of the machine could read them.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::error::{Code, EngineError, Result};
use crate::identity::users_file::{self, User, UsersFile};

/// `chancery user …`
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Add a user; a running node believes it at once.
    Add(AddArgs),
    /// Give a user a new password; sessions opened with the old one end.
    Passwd(PasswdArgs),
    /// List the users.
    List(ListArgs),
}

/// `chancery user add`
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// The name.
    name: String,
    /// A role of the user; once for each.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// `chancery user passwd`
#[derive(Debug, clap::Args)]
pub struct PasswdArgs {
    /// The name.
    name: String,
    #[command(flatten)]
    place: Place,
}

/// `chancery user list`
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The users file.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// Where the user is kept and where the password comes from.
#[derive(Debug, clap::Args)]
struct Place {
    /// The users file; `add` makes it when missing.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Read the password from the first line of this file, not from the prompt or standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `chancery user`.
///
/// # Errors
/// `CONFIG` when the users file or the password cannot be read, or the change is refused.
pub fn run(command: UserCommand) -> Result<ExitCode> {
    match command {
        UserCommand::Add(args) => {
            let password = read_password(args.place.password_file.as_deref())?;
            let roles = args.roles.into_iter().collect::<BTreeSet<_>>();
            users_file::add(&args.place.file, &args.name, &password, roles)?;
            tell(&format!("added `{}` to {}", args.name, args.place.file.display()));
        }
        UserCommand::Passwd(args) => {
            let password = read_password(args.place.password_file.as_deref())?;
            users_file::set_password(&args.place.file, &args.name, &password)?;
            tell(&format!("changed the password of `{}` in {}", args.name, args.place.file.display()));
        }
        UserCommand::List(args) => {
            UsersFile::read(&args.file)?.iter().for_each(|user| tell(&describe(user)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(user: &User) -> String {
    let roles = user.roles.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let state = if user.disabled { "disabled" } else { "enabled" };
    match roles.as_str() {
        "" => format!("{} ({state})", user.name),
        roles => format!("{} ({state}; roles: {roles})", user.name),
    }
}

fn read_password(file: Option<&Path>) -> Result<String> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| config(format!("{} cannot be read: {error}", path.display())))?;
        return Ok(first_line(&text).to_string());
    }
    if std::io::stdin().is_terminal() {
        return prompt_twice();
    }
    let mut line = String::new();
    let cannot = |error| config(format!("the password cannot be read from standard input: {error}"));
    std::io::stdin().lock().read_line(&mut line).map_err(cannot)?;
    Ok(first_line(&line).to_string())
}

fn prompt_twice() -> Result<String> {
    let cannot = |error| config(format!("the password cannot be read from the terminal: {error}"));
    let once = rpassword::prompt_password("Password: ").map_err(cannot)?;
    let twice = rpassword::prompt_password("Again: ").map_err(cannot)?;
    if once == twice { Ok(once) } else { Err(config("the two passwords differ; nothing is changed".to_string())) }
}

/// Without its line end only: a password may begin and end with spaces.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A closed pipe is no reason to fail: the change is made.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn config(sentence: String) -> EngineError {
    EngineError::new(Code::Config, sentence)
}

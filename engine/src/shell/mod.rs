//! `chancery sql`, the shell: a Flight SQL client like any other, at the asker's end of a query's path.
//!
//! ```text
//! options, profile ─► password ─► connection (address, TLS, sign-in)
//!                             │
//! -c, -f, standard input ─► input (statements and commands) ─► session ─► format ─► output: standard output, or a file
//! a terminal ─► editor ───────┘                                   └─ notice, progress ─► standard error
//! ```
//!
//! **Invariant:** standard output carries results and nothing else; a password never comes from the command line; the
//! shell knows the server only through Flight SQL, so what it can do any client can.

mod address;
mod command;
mod connection;
mod describe;
mod edit;
mod editor;
mod error;
mod format;
mod input;
mod names;
mod notice;
mod options;
mod output;
mod pager;
mod password;
mod profile;
mod progress;
mod session;

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use self::connection::{Connection, Credentials};
use self::editor::Editor;
use self::error::ShellError;
use self::format::Format;
use self::options::Switch;
use self::output::Output;
use self::session::{Flow, Session, Settings};

pub use self::options::{ServerArgs, SqlArgs};

/// Rows of one answer that a terminal is shown unless `\limit` says otherwise.
const ROWS_SHOWN_MAX: usize = 1_000;

/// Runs the shell to its end. The exit status is 0 when every statement was answered, 1 when one was refused or failed,
/// 2 when the command line or the connection was wrong, and 130 when the user interrupted it.
pub async fn run(args: SqlArgs) -> ExitCode {
    match Box::pin(converse(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            notice::error(&error);
            error.exit_code()
        }
    }
}

async fn converse(mut args: SqlArgs) -> Result<(), ShellError> {
    let profile = profile::find(args.profile.as_deref())?;
    profile.complete(&mut args)?;
    let texts = one_shot_texts(&args)?;
    let output = Output::open(args.output.as_deref())?;
    let user = args
        .user
        .take()
        .ok_or_else(|| ShellError::Usage("no user: --user, CHANCERY_USER or a profile names one".to_owned()))?;
    let credentials = Credentials { password: password::find(&args, &profile, &user)?, user };
    let server = args.server.take().unwrap_or_default();
    let connection = Connection::open(&server, args.tls_ca.as_deref(), &credentials).await?;
    let on_terminal = texts.is_none();
    let settings = Settings {
        format: args.format.unwrap_or(Format::Table),
        timing: args.timing.unwrap_or(Switch::from(on_terminal)),
        rows_max: (on_terminal && output.is_terminal()).then_some(ROWS_SHOWN_MAX),
        pager: Switch::from(on_terminal),
    };
    let mut session = Session::new(connection, settings, output);
    if let Some(purpose) = &profile.purpose {
        session.begin_purpose(purpose).await?;
    }
    match texts {
        Some(texts) => one_shot(&mut session, &texts).await,
        None => {
            notice::say(&format!(
                "chancery {} at {} as {}. \\? for help, \\q to quit.",
                env!("CARGO_PKG_VERSION"),
                server,
                credentials.user
            ));
            let editor = Editor::open(args.no_history, session.names());
            interactive(session, editor).await
        }
    }
}

/// The texts to run in one shot: `-c`, else `-f`, else standard input; `None` when there is a person to talk to.
fn one_shot_texts(args: &SqlArgs) -> Result<Option<Vec<String>>, ShellError> {
    if !args.commands.is_empty() {
        return Ok(Some(args.commands.clone()));
    }
    match &args.file {
        Some(path) if path != Path::new("-") => read_script(path).map(|text| Some(vec![text])),
        None if io::stdin().is_terminal() => Ok(None),
        _ => read_standard_input().map(|text| Some(vec![text])),
    }
}

fn read_script(path: &Path) -> Result<String, ShellError> {
    std::fs::read_to_string(path).map_err(|error| ShellError::Usage(format!("cannot read {}: {error}", path.display())))
}

fn read_standard_input() -> Result<String, ShellError> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| ShellError::Usage(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

async fn one_shot(session: &mut Session, texts: &[String]) -> Result<(), ShellError> {
    for text in texts {
        if let Flow::Quit = session.run(text).await? {
            break;
        }
    }
    Ok(())
}

/// Prompts until the user leaves. What goes wrong is said, and the conversation goes on.
async fn interactive(mut session: Session, mut editor: Editor) -> Result<(), ShellError> {
    loop {
        session.learn_names().await;
        let (returned, entry) = editor.read_entry().await?;
        editor = returned;
        let Some(entry) = entry else { return Ok(()) };
        match session.run(&entry).await {
            Ok(Flow::Continue) => {}
            Ok(Flow::Quit) => return Ok(()),
            Err(error) => notice::error(&error),
        }
    }
}

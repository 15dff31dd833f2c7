//! The prompt: line editing, statements over several lines, and a history on disk. Used only when a person types.

mod complete;
mod highlight;

use std::borrow::Cow;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use datafusion::common::runtime::SpawnedTask;
use reedline::{
    ColumnarMenu, DefaultHinter, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode,
    PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, Signal, ValidationResult,
    Validator, default_emacs_keybindings,
};

use self::complete::NameCompleter;
use self::highlight::StatementHighlighter;
use super::command;
use super::error::ShellError;
use super::input;
use super::names::SharedNames;
use super::notice;
use crate::config::environment;

const COMPLETION_MENU: &str = "completion";

/// Entries that the history keeps.
const HISTORY_ENTRIES_MAX: usize = 10_000;

/// The line editor of one conversation.
pub(super) struct Editor {
    reedline: Reedline,
}

impl Editor {
    pub(super) fn open(no_history: bool, names: SharedNames) -> Self {
        let menu = ColumnarMenu::default().with_name(COMPLETION_MENU);
        let reedline = Reedline::create()
            .with_validator(Box::new(StatementValidator))
            .with_highlighter(Box::new(StatementHighlighter))
            .with_hinter(Box::new(DefaultHinter::default()))
            .with_completer(Box::new(NameCompleter::new(names)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_edit_mode(Box::new(edit_mode()))
            .use_bracketed_paste(true);
        if no_history {
            return Self { reedline };
        }
        match open_history() {
            Ok(history) => Self { reedline: reedline.with_history(Box::new(history)) },
            Err(reason) => {
                notice::say(&format!("This session's history will not be kept: {reason}"));
                Self { reedline }
            }
        }
    }

    /// Waits for an entry, on a thread where waiting disturbs nobody. `None`: the user has left. Ctrl-C clears the line.
    pub(super) async fn read_entry(mut self) -> Result<(Self, Option<String>), ShellError> {
        let task = SpawnedTask::spawn_blocking(move || {
            let entry = loop {
                match self.reedline.read_line(&ShellPrompt) {
                    Ok(Signal::Success(entry)) => break Ok(Some(entry)),
                    Ok(Signal::CtrlD) => break Ok(None),
                    Ok(_) => {}
                    Err(error) => break Err(ShellError::Prompt(error.to_string())),
                }
            };
            (self, entry)
        });
        let (editor, entry) = task.join().await.map_err(|error| ShellError::Prompt(error.to_string()))?;
        let entry = entry?.map(|entry| command::of_plain_word(&entry).map_or(entry, str::to_owned));
        Ok((editor, entry))
    }
}

/// Keys as in Emacs, and Tab to complete.
fn edit_mode() -> Emacs {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(COMPLETION_MENU.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    Emacs::new(keys)
}

/// Lets Enter run an entry once its last statement has its semicolon.
struct StatementValidator;

impl Validator for StatementValidator {
    fn validate(&self, entry: &str) -> ValidationResult {
        if input::is_complete(entry) || command::of_plain_word(entry).is_some() {
            ValidationResult::Complete
        } else {
            ValidationResult::Incomplete
        }
    }
}

struct ShellPrompt;

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("chancery")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("       -> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "no ",
        };
        Cow::Owned(format!(" ({failing}match for '{}') ", search.term))
    }
}

fn open_history() -> Result<FileBackedHistory, String> {
    let file = history_file().ok_or("there is no home directory")?;
    keep_private(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    FileBackedHistory::with_file(HISTORY_ENTRIES_MAX, file.clone())
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The file's place by the XDG base directory specification, by which a relative path counts as none.
fn history_file() -> Option<PathBuf> {
    let directory = |name| environment::variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")))?;
    Some(state.join("chancery").join("history"))
}

/// Makes the file for its owner alone: statements hold the values that people look for.
fn keep_private(file: &Path) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn enter_runs_what_is_complete() {
        for (entry, complete) in [("SELECT 1;", true), ("SELECT 1", false), ("exit", true), ("\\dt", true)] {
            let answer = StatementValidator.validate(entry);
            assert_eq!(matches!(answer, ValidationResult::Complete), complete, "{entry}");
        }
    }

    #[test]
    fn the_history_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("chancery").join("history");
        keep_private(&file).unwrap();
        keep_private(&file).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
    }
}

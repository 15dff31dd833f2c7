//! `\e`: a statement in the user's own editor.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use datafusion::common::runtime::SpawnedTask;

use super::error::ShellError;
use crate::config::environment;

/// The text that the user leaves in the file, or in a new file that begins with the last statement.
pub(super) async fn edit(file: Option<&Path>, last_statement: Option<&str>) -> Result<String, ShellError> {
    let (file, last) = (file.map(Path::to_owned), last_statement.map(str::to_owned));
    let edited = SpawnedTask::spawn_blocking(move || edited(file, last.as_deref()));
    edited.join().await.map_err(|error| ShellError::Prompt(error.to_string()))?
}

fn edited(file: Option<PathBuf>, last_statement: Option<&str>) -> Result<String, ShellError> {
    let failed = |what: String| ShellError::Command(format!("\\e: {what}"));
    // Held until it has been read: it goes away with what holds it.
    let mut scratch =
        tempfile::Builder::new().prefix("chancery-").suffix(".sql").tempfile().map_err(|e| failed(e.to_string()))?;
    let path = match file {
        Some(file) => file,
        None => {
            let text = last_statement.map(|sql| format!("{sql};\n")).unwrap_or_default();
            scratch.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
            scratch.path().to_owned()
        }
    };
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(environment::variable).unwrap_or_else(|| "vi".to_owned());
    let status = Command::new("sh").arg("-c").arg(format!("exec {editor} \"$0\"")).arg(&path).status();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("{editor} ends with {status}; nothing is run")));
    }
    std::fs::read_to_string(&path).map_err(|error| failed(format!("{}: {error}", path.display())))
}

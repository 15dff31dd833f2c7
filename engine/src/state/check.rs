//! Whether the state of a node, or a backup of it, can be used. It only reads.

use std::path::Path;

use super::backup::STATE;
use super::manifest::Manifest;
use super::{exists, expect_whole, read_format};
use crate::audit::verify::verify;
use crate::audit::{AuditKey, DIRECTORY, Head, KEY_FILE};
use crate::config::NodePlace;
use crate::error::{Code, EngineError, Result};
use crate::site::policies::kept;

/// One thing that was looked at: what there is, or what is wrong.
pub type Looked = Result<String>;

/// Looks at the state of a node, which may be running.
pub fn check_state(node: &NodePlace) -> Vec<Looked> {
    match expect_whole(node) {
        Ok(true) => check_directory(&node.state),
        Ok(false) => vec![Ok("no state, and the node keeps none".to_string())],
        Err(error) => vec![Err(error)],
    }
}

fn check_directory(directory: &Path) -> Vec<Looked> {
    let format = read_format(directory).map(|format| format!("format {}", format.unwrap_or(1)));
    if format.is_err() {
        // What is in it, nobody here knows.
        return vec![format];
    }
    let mut looked = vec![format, kept::describe(directory)];
    let (key, log) = (directory.join(KEY_FILE), directory.join(DIRECTORY));
    looked.extend(if_there(&key, || AuditKey::load_or_create(&key).map(|_| "the key of the audit log".to_string())));
    looked.extend(if_there(&log, || check_log(&log, None)));
    looked
}

/// Looks at a backup: its list, every file on it, and the state that they are.
pub fn check_backup(directory: &Path) -> Vec<Looked> {
    let manifest = match Manifest::read(directory) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Err(error)],
    };
    let of = format!("a backup of {}, taken at {} by {}", manifest.node, manifest.taken_at, manifest.release);
    let mut looked = vec![Ok(of)];
    let state = directory.join(STATE);
    match exists(&state) {
        Ok(true) => looked.extend(check_directory(&state)),
        Ok(false) => {}
        Err(error) => looked.push(Err(error)),
    }
    if let Some(head) = &manifest.audit_head {
        looked.push(check_log(&state.join(DIRECTORY), Some(head)));
    }
    looked
}

fn if_there(path: &Path, look: impl FnOnce() -> Looked) -> Option<Looked> {
    match exists(path) {
        Ok(there) => there.then(look),
        Err(error) => Some(Err(error)),
    }
}

/// Reads a whole log; with a head, it must hold that record.
pub(super) fn check_log(directory: &Path, head: Option<&str>) -> Looked {
    let wrong = |what: String| EngineError::new(Code::Audit, what);
    let head: Option<Head> = head.map(str::parse).transpose().map_err(wrong)?;
    let verified = verify(directory, head.as_ref()).map_err(|fault| wrong(fault.to_string()))?;
    Ok(format!("an audit log of {} records, head {}", verified.records, verified.head))
}

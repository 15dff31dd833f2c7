//! Where answers go: standard output, or a file that the user named.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::error::ShellError;
use super::format::Format;
use super::options::Switch;
use super::pager::Pager;

/// What takes one answer.
pub(super) struct Sink<'a> {
    pub(super) out: Box<dyn Write + Send + 'a>,
    pager: Option<Pager>,
}

impl Sink<'_> {
    /// Whether the reader may stop reading without that being the end of the shell.
    pub(super) fn is_paged(&self) -> bool {
        self.pager.is_some()
    }

    /// Ends the answer; whoever reads it in a pager is waited for.
    pub(super) fn end(self) {
        drop(self.out);
        if let Some(pager) = self.pager {
            pager.wait();
        }
    }
}

/// The place of the answers to come.
pub(super) struct Output {
    file: Option<(PathBuf, File)>,
    /// Whether an answer went there that nothing may follow.
    is_full: bool,
}

impl Output {
    /// Standard output, or the file, made anew.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, ShellError> {
        let create = |path: &Path| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(error) => Err(ShellError::Usage(format!("cannot write {}: {error}", path.display()))),
        };
        Ok(Self { file: path.map(create).transpose()?, is_full: false })
    }

    /// Whether a person reads along.
    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_none() && io::stdout().is_terminal()
    }

    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// What takes the next answer; a person may read it in a pager.
    ///
    /// # Errors
    /// When an answer of that format would not be readable there.
    pub(super) fn begin(&mut self, format: Format, pager: Switch) -> Result<Sink<'_>, ShellError> {
        let (name, place) = (format.name(), self.name());
        if format.is_binary() && self.is_terminal() {
            return Err(ShellError::Command(format!(
                "{name} is not for a terminal; \\o FILE or --output FILE names a file"
            )));
        }
        if self.is_full {
            return Err(ShellError::Command(format!(
                "{place} has an answer already, which must stay alone; \\o names another file"
            )));
        }
        self.is_full = format.is_binary();
        let pager = (pager == Switch::On && self.is_terminal()).then(Pager::start).flatten();
        Ok(match (&self.file, pager) {
            (Some((_, file)), _) => Sink { out: Box::new(BufWriter::new(file)), pager: None },
            (None, Some((pager, input))) => Sink { out: Box::new(BufWriter::new(input)), pager: Some(pager) },
            (None, None) => Sink { out: Box::new(BufWriter::new(io::stdout())), pager: None },
        })
    }

    /// As the user is told of it.
    pub(super) fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| "standard output".to_owned(), |(path, _)| path.display().to_string())
    }
}

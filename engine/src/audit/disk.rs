//! The few things that the writer asks of a disk, so that tests can let each of them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::segments::Segment;

/// A directory of segments, of which the last is written.
pub(super) trait Disk: Send {
    /// Begins a segment; what is written from now on goes to it.
    fn create(&mut self, first: u64) -> io::Result<()>;
    /// Adds to the segment's end. After an error some of the bytes may stand there.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Returns when the segment's name is on the disk.
    fn sync_directory(&mut self) -> io::Result<()>;
    /// Cuts the segment to that length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// Segments as files.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    current: Option<File>,
}

impl Files {
    /// The directory's files, of which `last` is written further.
    pub(super) fn open(directory: &Path, last: Option<&Segment>) -> io::Result<Self> {
        let current = last.map(|last| OpenOptions::new().append(true).open(&last.path)).transpose()?;
        Ok(Self { directory: directory.to_path_buf(), current })
    }

    fn current(&mut self) -> io::Result<&mut File> {
        self.current.as_mut().ok_or_else(|| io::Error::other("no segment is begun"))
    }
}

impl Disk for Files {
    fn create(&mut self, first: u64) -> io::Result<()> {
        let path = Segment::new(&self.directory, first).path;
        self.current = Some(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.current()?.set_len(length)
    }
}

//! Where operators put what does not fit into memory: files without a name, sealed with a key that only this process has, and
//! no more of them than may be.

use std::fs::File;
use std::io::{Error, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures::{Stream, stream};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::{Code, EngineError, Result};

/// What is sealed at once.
const CHUNK_BYTES: usize = 128 << 10;
/// The length of a sealed chunk stands before it.
const LENGTH_BYTES: usize = 4;

/// What the queries of a node have on its disk.
#[derive(Debug, Default)]
pub struct Spilled {
    used: AtomicU64,
    total: AtomicU64,
}

impl Spilled {
    /// Bytes that are there now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// All bytes that were ever put there.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// The spill files of a node.
#[derive(Debug)]
struct SealedFiles {
    bytes_max: u64,
    spilled: Arc<Spilled>,
}

/// A disk manager whose files are sealed and have `bytes_max` bytes together, which are counted.
pub fn sealed_files(bytes_max: u64, spilled: Arc<Spilled>) -> DiskManagerBuilder {
    let files = SealedFiles { bytes_max, spilled };
    DiskManagerBuilder::default().with_mode(DiskManagerMode::Custom(Arc::new(files)))
}

impl TempFileFactory for SealedFiles {
    fn create_temp_file(&self, _description: &str) -> DataFusionResult<Arc<dyn SpillFile>> {
        let shared = Shared {
            // It has no name: whatever becomes of this process, nothing is left.
            file: tempfile::tempfile().map_err(DataFusionError::IoError)?,
            key: random_key()?,
            written: AtomicU64::new(0),
            spilled: Arc::clone(&self.spilled),
            bytes_max: self.bytes_max,
        };
        Ok(Arc::new(SealedFile(Arc::new(shared))))
    }
}

/// A key for one file, that dies with it.
fn random_key() -> Result<LessSafeKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(EngineError::internal)?;
    let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| EngineError::defect("a key of the wrong length"))?;
    Ok(LessSafeKey::new(key))
}

#[derive(Debug)]
struct Shared {
    file: File,
    key: LessSafeKey,
    /// Bytes of whole sealed chunks.
    written: AtomicU64,
    spilled: Arc<Spilled>,
    bytes_max: u64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.spilled.used.fetch_sub(self.written.load(Ordering::Acquire), Ordering::Relaxed);
    }
}

impl Shared {
    /// Where a chunk stands is its nonce, and nothing is written twice at one place.
    fn nonce(offset: u64) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (_, place) = nonce.split_at_mut(NONCE_LEN - size_of::<u64>());
        place.copy_from_slice(&offset.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn append(&self, mut chunk: Vec<u8>) -> std::io::Result<()> {
        let offset = self.written.load(Ordering::Acquire);
        self.key
            .seal_in_place_append_tag(Self::nonce(offset), Aad::empty(), &mut chunk)
            .map_err(|_| Error::other("a chunk could not be sealed"))?;
        let length = u32::try_from(chunk.len()).map_err(Error::other)?;
        let bytes = (LENGTH_BYTES + chunk.len()) as u64;
        let used = self.spilled.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let written = match used > self.bytes_max {
            true => Err(Error::other(full(self.bytes_max))),
            false => self
                .file
                .write_all_at(&length.to_le_bytes(), offset)
                .and_then(|()| self.file.write_all_at(&chunk, offset + LENGTH_BYTES as u64)),
        };
        match written {
            Ok(()) => {
                self.written.store(offset + bytes, Ordering::Release);
                self.spilled.total.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(_) => _ = self.spilled.used.fetch_sub(bytes, Ordering::Relaxed),
        }
        written
    }

    /// The chunk at `offset` and where the next one stands; `None` at the end.
    fn read(&self, offset: u64) -> std::io::Result<Option<(Bytes, u64)>> {
        if offset >= self.written.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut length = [0; LENGTH_BYTES];
        self.file.read_exact_at(&mut length, offset)?;
        let length = u32::from_le_bytes(length);
        if length as usize > CHUNK_BYTES + AES_256_GCM.tag_len() {
            return Err(Error::other("a spill file was changed"));
        }
        let mut chunk = vec![0; length as usize];
        self.file.read_exact_at(&mut chunk, offset + LENGTH_BYTES as u64)?;
        let opened = self
            .key
            .open_in_place(Self::nonce(offset), Aad::empty(), &mut chunk)
            .map_err(|_| Error::other("a spill file was changed"))?
            .len();
        chunk.truncate(opened);
        Ok(Some((Bytes::from(chunk), offset + LENGTH_BYTES as u64 + u64::from(length))))
    }
}

fn full(bytes_max: u64) -> EngineError {
    EngineError::new(
        Code::Memory,
        format!(
            "the queries of this node have put {bytes_max} bytes on its disk, as many as may (`spill_bytes_max`); aggregate \
             or filter earlier, or ask for less at once"
        ),
    )
}

struct SealedFile(Arc<Shared>);

impl SpillFile for SealedFile {
    fn size(&self) -> Option<u64> {
        Some(self.0.written.load(Ordering::Acquire))
    }

    fn read_stream(&self) -> DataFusionResult<Pin<Box<dyn Stream<Item = DataFusionResult<Bytes>> + Send>>> {
        let chunks = stream::try_unfold((Arc::clone(&self.0), 0), |(shared, offset)| async move {
            let reading = Arc::clone(&shared);
            let read = SpawnedTask::spawn_blocking(move || reading.read(offset)).join().await;
            let read = read.map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(read.map_err(DataFusionError::IoError)?.map(|(chunk, next)| (chunk, (shared, next))))
        });
        Ok(Box::pin(chunks))
    }

    fn open_writer(&self) -> DataFusionResult<Box<dyn SpillWriter>> {
        Ok(Box::new(SealedWriter { shared: Arc::clone(&self.0), chunk: Vec::new() }))
    }
}

struct SealedWriter {
    shared: Arc<Shared>,
    chunk: Vec<u8>,
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        let (taken, _) = bytes.split_at(taken);
        self.chunk.extend_from_slice(taken);
        if self.chunk.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match std::mem::take(&mut self.chunk) {
            chunk if chunk.is_empty() => Ok(()),
            chunk => self.shared.append(chunk),
        }
    }
}

impl SpillWriter for SealedWriter {
    fn finish(&mut self) -> DataFusionResult<()> {
        self.flush().map_err(DataFusionError::IoError)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    fn file(bytes_max: u64) -> (Arc<Spilled>, Arc<Shared>) {
        let spilled = Arc::<Spilled>::default();
        let shared = Shared {
            file: tempfile::tempfile().unwrap(),
            key: random_key().unwrap(),
            written: AtomicU64::new(0),
            spilled: Arc::clone(&spilled),
            bytes_max,
        };
        (spilled, Arc::new(shared))
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_cannot_be_found_on_the_disk() {
        let secret: Vec<u8> = b"CANARY-1-a hidden note ".iter().copied().cycle().take(3 * CHUNK_BYTES + 17).collect();
        let (spilled, shared) = file(1 << 30);
        let sealed = SealedFile(Arc::clone(&shared));
        let mut writer = sealed.open_writer().unwrap();
        writer.write_all(&secret).unwrap();
        writer.finish().unwrap();
        let read: Vec<Bytes> = sealed.read_stream().unwrap().try_collect().await.unwrap();
        assert_eq!(read.concat(), secret);
        let mut on_disk = vec![0; usize::try_from(sealed.size().unwrap()).unwrap()];
        shared.file.read_exact_at(&mut on_disk, 0).unwrap();
        assert!(!on_disk.windows(8).any(|window| window == b"CANARY-1"), "it is sealed");
        assert!(spilled.used() >= secret.len() as u64);
        shared.file.write_all_at(&[on_disk[100] ^ 1], 100).unwrap();
        assert!(sealed.read_stream().unwrap().try_collect::<Vec<_>>().await.is_err(), "a changed file is no file");
        drop((writer, sealed, shared));
        assert_eq!(spilled.used(), 0, "what is gone is not counted");
    }

    #[test]
    fn no_more_is_written_than_may_be() {
        let (spilled, shared) = file(2 * CHUNK_BYTES as u64);
        let mut writer = SealedFile(shared).open_writer().unwrap();
        let error = writer.write_all(&vec![7; 4 * CHUNK_BYTES]).unwrap_err();
        let told = EngineError::of_running(DataFusionError::IoError(error));
        assert_eq!(told.code(), Code::Memory, "{told}");
        assert!(spilled.used() <= 2 * CHUNK_BYTES as u64);
    }
}

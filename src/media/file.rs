//! A file as it lies on disk: a version, a salt, and pieces of 64 KiB, each sealed by itself (`vault::file`). Written once
//! from its beginning to its end; read from anywhere.

use crate::domain::ids::{MediaId, TenantId};
use crate::store::Store;
use crate::vault::file::{FileCipher, SALT_BYTES, TAG_BYTES};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

pub(crate) const PIECE_BYTES: usize = 64 << 10;
const SEALED_PIECE_BYTES: u64 = (PIECE_BYTES + TAG_BYTES) as u64;
const VERSION: u8 = 1;
const HEAD_BYTES: u64 = 1 + SALT_BYTES as u64;

/// Whose key a file is under.
#[derive(Clone)]
pub(super) struct Name {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) id: MediaId,
}

impl Name {
    fn cipher(&self, salt: &[u8; SALT_BYTES]) -> FileCipher {
        self.store.media_cipher(&self.tenant, &self.id, salt)
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
}

/// Writes a file. What was written counts only after [`SealedWriter::finish`]. More than `bytes_max` is an error of the kind
/// [`ErrorKind::FileTooLarge`].
pub struct SealedWriter {
    file: File,
    name: Name,
    cipher: FileCipher,
    piece: Vec<u8>,
    number: u32,
    size: u64,
    bytes_max: u64,
    hash: Sha256,
}

impl SealedWriter {
    pub(super) fn new(file: File, name: Name, bytes_max: u64) -> io::Result<Self> {
        let cipher = name.cipher(&[0; SALT_BYTES]);
        let piece = Vec::with_capacity(PIECE_BYTES);
        let mut writer = Self { file, name, cipher, piece, number: 0, size: 0, bytes_max, hash: Sha256::new() };
        writer.restart()?;
        Ok(writer)
    }

    /// Begins anew, with another key: what was written before is gone.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        let salt: [u8; SALT_BYTES] = rand::random();
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&[VERSION])?;
        self.file.write_all(&salt)?;
        self.cipher = self.name.cipher(&salt);
        self.piece.clear();
        (self.number, self.size, self.hash) = (0, 0, Sha256::new());
        Ok(())
    }

    fn end_piece(&mut self, last: bool) -> io::Result<()> {
        self.file.write_all(&self.cipher.seal(self.number, last, &self.piece))?;
        self.piece.clear();
        self.number = self.number.checked_add(1).ok_or(ErrorKind::FileTooLarge)?;
        Ok(())
    }

    /// Everything is on disk when it returns.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        self.end_piece(true)?;
        self.file.sync_all()?;
        Ok(Written { size: self.size, sha256: self.hash.finalize().into() })
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.size + bytes.len() as u64 > self.bytes_max {
            return Err(ErrorKind::FileTooLarge.into());
        }
        // A full piece waits until there is more: the last one is sealed as the last.
        if self.piece.len() == PIECE_BYTES {
            self.end_piece(false)?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        self.hash.update(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file, piece by piece; a piece that was changed is an error.
pub struct SealedReader {
    file: File,
    cipher: FileCipher,
    pieces: u64,
    size: u64,
    position: u64,
    open: Option<(u64, Vec<u8>)>,
}

fn corrupt() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a media file is damaged")
}

impl SealedReader {
    pub(super) fn new(mut file: File, name: &Name) -> io::Result<Self> {
        let mut head = [0; HEAD_BYTES as usize];
        file.read_exact(&mut head)?;
        let (version, salt) = head.split_first().ok_or_else(corrupt)?;
        if *version != VERSION {
            return Err(corrupt());
        }
        let salt: &[u8; SALT_BYTES] = salt.try_into().map_err(|_| corrupt())?;
        let sealed = file.metadata()?.len().checked_sub(HEAD_BYTES).ok_or_else(corrupt)?;
        let pieces = sealed.div_ceil(SEALED_PIECE_BYTES);
        let size = sealed.checked_sub(pieces * TAG_BYTES as u64).filter(|_| pieces > 0).ok_or_else(corrupt)?;
        Ok(Self { file, cipher: name.cipher(salt), pieces, size, position: 0, open: None })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    fn load(&mut self, number: u64) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| *open == number) {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(HEAD_BYTES + number * SEALED_PIECE_BYTES))?;
        let mut sealed = Vec::with_capacity(PIECE_BYTES + TAG_BYTES);
        (&mut self.file).take(SEALED_PIECE_BYTES).read_to_end(&mut sealed)?;
        let last = number + 1 == self.pieces;
        let number_in_file = u32::try_from(number).map_err(|_| corrupt())?;
        let piece = self.cipher.open(number_in_file, last, &sealed).map_err(|_| corrupt())?;
        self.open = Some((number, piece));
        Ok(())
    }
}

impl Read for SealedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || into.is_empty() {
            return Ok(0);
        }
        let number = self.position / PIECE_BYTES as u64;
        self.load(number)?;
        let Some((_, piece)) = &self.open else { return Err(corrupt()) };
        let from = usize::try_from(self.position % PIECE_BYTES as u64).map_err(|_| corrupt())?;
        let available = piece.get(from..).ok_or_else(corrupt)?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for SealedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Clock;
    use crate::domain::secret::Secret;
    use crate::store::StoreSettings;
    use crate::telemetry::metrics::Metrics;
    use std::sync::Arc;
    use std::time::Duration;

    fn name(folder: &std::path::Path) -> Name {
        let settings = StoreSettings {
            path: folder.join("test.db"),
            readers: 1,
            batch_time_max: Duration::from_millis(1),
            batch_requests_max: 1,
            instance_id: None,
        };
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let store = Store::open(&settings, &Secret::new("key"), Clock::system(), metrics).expect("store");
        Name { store, tenant: TenantId::generate(), id: MediaId::generate() }
    }

    fn file(folder: &std::path::Path) -> File {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).open(folder.join("file")).expect("file")
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|at| u8::try_from(at * 31 % 251).expect("small")).collect()
    }

    #[test]
    fn a_file_of_any_size_reads_back_whole_and_from_anywhere() {
        let folder = tempfile::tempdir().expect("folder");
        let name = name(folder.path());
        for size in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 200_001] {
            let content = content(size);
            let mut writer = SealedWriter::new(file(folder.path()), name.clone(), 1 << 20).expect("writer");
            writer.write_all(&content).expect("writes");
            let written = writer.finish().expect("finishes");
            assert_eq!(written, Written { size: size as u64, sha256: Sha256::digest(&content).into() });

            let mut reader = SealedReader::new(file(folder.path()), &name).expect("reader");
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("reads");
            assert!(read == content, "{size}");
            assert_eq!(reader.size(), size as u64);
            for from in [0, size / 2, size.saturating_sub(1), size, size + 5] {
                let mut read = Vec::new();
                reader.seek(SeekFrom::Start(from as u64)).expect("seeks");
                reader.read_to_end(&mut read).expect("reads");
                assert!(read == content.get(from..).unwrap_or_default(), "{size} from {from}");
            }
        }
    }

    #[test]
    fn a_file_that_was_changed_or_cut_does_not_read() {
        let folder = tempfile::tempdir().expect("folder");
        let name = name(folder.path());
        let mut writer = SealedWriter::new(file(folder.path()), name.clone(), 1 << 20).expect("writer");
        writer.write_all(&content(2 * PIECE_BYTES)).expect("writes");
        writer.finish().expect("finishes");
        let path = folder.path().join("file");
        let whole = std::fs::read(&path).expect("bytes");
        let reads = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("writes");
            SealedReader::new(file(folder.path()), &name).and_then(|mut reader| reader.read_to_end(&mut Vec::new()))
        };
        assert!(reads(&whole).is_ok());

        let piece = usize::try_from(HEAD_BYTES + SEALED_PIECE_BYTES).expect("small");
        assert!(reads(&whole[..piece]).is_err(), "the last piece is missing");
        let mut changed = whole.clone();
        changed[piece + 9] ^= 1;
        assert!(reads(&changed).is_err());
        let mut swapped = whole.clone();
        swapped[1] ^= 1;
        assert!(reads(&swapped).is_err(), "another salt");
    }

    #[test]
    fn more_than_the_most_is_refused_and_a_restart_forgets_all() {
        let folder = tempfile::tempdir().expect("folder");
        let name = name(folder.path());
        let mut writer = SealedWriter::new(file(folder.path()), name.clone(), 10).expect("writer");
        writer.write_all(b"0123456789").expect("fits");
        assert_eq!(writer.write_all(b"x").map_err(|error| error.kind()), Err(ErrorKind::FileTooLarge));

        writer.restart().expect("restarts");
        writer.write_all(b"other").expect("writes");
        writer.finish().expect("finishes");

        let mut read = String::new();
        SealedReader::new(file(folder.path()), &name).expect("reader").read_to_string(&mut read).expect("reads");
        assert_eq!(read, "other");
    }
}

//! A container's log: what it wrote to its two outputs, in order, with times.
//!
//! The file is a row of records, each a header of 13 bytes (stream, time in
//! nanoseconds since 1970, length; little-endian) and the bytes. It only
//! grows. A crash can leave a part of a record, or zeros, at its end: readers
//! stop there, and the next writer cuts it off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, ErrorKind, Result};

const HEADER: usize = 13;

/// The longest record in bytes, so that a reader knows what it must hold.
const LONGEST: u32 = 1 << 20;

/// Which output a record was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// One piece of output, as it was read; lines can go across records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it was written to.
    pub stream: Stream,
    /// When it was read, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Appends to a log; several threads may share it.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    end: Mutex<(File, u64)>,
}

impl LogWriter {
    /// Opens a log for appending, makes it (mode 0600) where there is none,
    /// and cuts off what a crash left at its end. One writer at a time: the
    /// engine's lease sees to it.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where the log is damaged before its end; it is
    /// left as it is. Otherwise as opening a file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let failed = |error| Error::io(format!("cannot open the log {}", path.display()), error);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(failed)?;
        let mut whole = LogReader::new(file.try_clone().map_err(failed)?, &path)?;
        while let Some(header) = whole.next_header()? {
            whole.skip_body(header)?;
        }
        let end = whole.position;
        if end < whole.length {
            file.set_len(end).map_err(failed)?;
        }
        Ok(Self { path, end: Mutex::new((file, end)) })
    }

    /// Appends a record. It is on its way to the disk, and not yet there.
    ///
    /// # Errors
    /// As writing a file; the log is then as it was before.
    pub fn append(&self, stream: Stream, bytes: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // A panic elsewhere leaves the pair consistent: it changes by one assignment.
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, length) = &mut *end;
        for piece in bytes.chunks(LONGEST as usize) {
            let mut header = [0; HEADER];
            header[0] = stream as u8 + 1;
            header[1..9].copy_from_slice(&time_ns.to_le_bytes());
            header[9..].copy_from_slice(&(piece.len() as u32).to_le_bytes());
            if let Err(error) = write_both(file, &header, piece) {
                let failure = Error::io(format!("cannot write the log {}", self.path.display()), error);
                let cut = file.set_len(*length);
                return Err(failure.after_cleanup(
                    cut.map_err(|error| Error::io("cannot cut off the half-written record", error)),
                ));
            }
            *length += (HEADER + piece.len()) as u64;
        }
        Ok(())
    }
}

/// Writes header and bytes, with one call as a rule.
fn write_both(mut file: &File, header: &[u8; HEADER], piece: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write_vectored(&[IoSlice::new(header), IoSlice::new(piece)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    match written.checked_sub(HEADER) {
        Some(of_piece) => file.write_all(&piece[of_piece..]),
        None => {
            file.write_all(&header[written..])?;
            file.write_all(piece)
        }
    }
}

/// Reads a log from its beginning, record by record, up to where it ended
/// when it was opened.
#[derive(Debug)]
pub struct LogReader {
    file: BufReader<File>,
    path: PathBuf,
    position: u64,
    length: u64,
}

#[derive(Clone, Copy)]
struct Header {
    stream: Stream,
    time_ns: u64,
    length: u32,
}

impl LogReader {
    /// Opens a log.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none; otherwise as opening a file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| Error::io(format!("cannot open the log {}", path.display()), error))?;
        Self::new(file, path)
    }

    fn new(file: File, path: &Path) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|error| Error::io(format!("cannot examine the log {}", path.display()), error))?;
        if !metadata.is_file() {
            let text = format!("the log {} is not a regular file", path.display());
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Self { file: BufReader::new(file), path: path.to_owned(), position: 0, length: metadata.len() })
    }

    /// The next header whose record is whole.
    fn next_header(&mut self) -> Result<Option<Header>> {
        let left = self.length - self.position;
        if left < HEADER as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        self.file.read_exact(&mut header).map_err(|error| self.unreadable(error))?;
        let [stream, rest @ ..] = header;
        let (time, length) = rest.split_at(8);
        let time_ns = time.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let length = length.try_into().map(u32::from_le_bytes).unwrap_or_default();
        let stream = match stream {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            0 if header == [0; HEADER] && self.only_zeros()? => return Ok(None),
            _ => return Err(self.damaged()),
        };
        if length == 0 || length > LONGEST {
            return Err(self.damaged());
        }
        if left < HEADER as u64 + u64::from(length) {
            return Ok(None);
        }
        Ok(Some(Header { stream, time_ns, length }))
    }

    fn skip_body(&mut self, header: Header) -> Result<()> {
        self.file.seek_relative(i64::from(header.length)).map_err(|error| self.unreadable(error))?;
        self.position += HEADER as u64 + u64::from(header.length);
        Ok(())
    }

    fn read(&mut self, header: Header) -> Result<Record> {
        let mut bytes = vec![0; header.length as usize];
        self.file.read_exact(&mut bytes).map_err(|error| self.unreadable(error))?;
        self.position += HEADER as u64 + u64::from(header.length);
        Ok(Record { stream: header.stream, time_ns: header.time_ns, bytes })
    }

    /// Whether nothing but zeros follows, as after a power cut.
    fn only_zeros(&mut self) -> Result<bool> {
        loop {
            let buffer = match self.file.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) => return Err(self.unreadable(error)),
            };
            if buffer.is_empty() {
                return Ok(true);
            }
            if buffer.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            let length = buffer.len();
            self.file.consume(length);
        }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::io(format!("cannot read the log {}", self.path.display()), error)
    }

    fn damaged(&self) -> Error {
        let text = format!("the log {} is damaged at byte {}", self.path.display(), self.position);
        Error::new(ErrorKind::Corrupt, text).with_hint("move it away to start a new one")
    }
}

impl Iterator for LogReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        let record = match self.next_header() {
            Ok(Some(header)) => self.read(header),
            Ok(None) => return None,
            Err(error) => Err(error),
        };
        if record.is_err() {
            // Nothing after damage can be trusted, so the next call finds the end.
            self.position = self.length;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        (directory, path)
    }

    fn contents(path: &Path) -> Vec<(Stream, Vec<u8>)> {
        LogReader::open(path).unwrap().map(|record| record.map(|r| (r.stream, r.bytes)).unwrap()).collect()
    }

    fn two_records(path: &Path) -> Vec<u8> {
        let log = LogWriter::open(path).unwrap();
        log.append(Stream::Stdout, b"one\n\0\xff").unwrap();
        log.append(Stream::Stderr, b"two").unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn records_come_back_in_order_with_their_stream_and_time() {
        let (_directory, path) = path();
        two_records(&path);
        let records: Vec<Record> = LogReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(records[0].bytes, b"one\n\0\xff");
        assert_eq!((records[0].stream, records[1].stream), (Stream::Stdout, Stream::Stderr));
        assert!(records[0].time_ns > 1_600_000_000_000_000_000 && records[0].time_ns <= records[1].time_ns);
        LogWriter::open(&path).unwrap().append(Stream::Stdout, &vec![7; (LONGEST + 1) as usize]).unwrap();
        let lengths: Vec<usize> = contents(&path).iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [6, 3, LONGEST as usize, 1]);
    }

    #[test]
    fn a_record_torn_anywhere_is_left_out_and_overwritten_by_the_next() {
        let (_directory, path) = path();
        let whole = two_records(&path);
        let first = HEADER + 6;
        for length in first..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(contents(&path).len(), 1, "{length} bytes");
            LogWriter::open(&path).unwrap().append(Stream::Stdout, b"new").unwrap();
            assert_eq!(contents(&path)[1..], [(Stream::Stdout, b"new".to_vec())], "{length} bytes");
        }
    }

    #[test]
    fn zeros_at_the_end_are_what_a_power_cut_leaves() {
        let (_directory, path) = path();
        let whole = two_records(&path);
        for zeros in [5, HEADER, 100_000] {
            std::fs::write(&path, [&whole[..], &vec![0; zeros]].concat()).unwrap();
            assert_eq!(contents(&path).len(), 2);
            drop(LogWriter::open(&path).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn damage_is_reported_once_and_never_cut_away_or_believed() {
        let (_directory, path) = path();
        let whole = two_records(&path);
        for (place, value) in [(0, 9), (0, 0), (12, 0xff)] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            std::fs::write(&path, &damaged).unwrap();
            let read: Vec<_> = LogReader::open(&path).unwrap().map(|r| r.map_err(|e| e.kind())).collect();
            assert_eq!(read, [Err(ErrorKind::Corrupt)], "byte {place}");
            assert_eq!(LogWriter::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
        }
    }
}

//! Rows out of the bytes of a binary COPY, wherever these were cut.
//!
//! PostgreSQL's documentation, "COPY", "Binary Format": a signature, flags, the length of an extension, then rows (the number
//! of fields, then each field's length, −1 for NULL, and bytes), then −1 in the place of a number of fields.

use bytes::{Bytes, BytesMut};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the extension.
const HEADER_BYTES: usize = 19;
const FLAGS_BYTES: usize = 4;
const END: i16 = -1;

/// What came and is not yet read.
#[derive(Debug)]
pub(in super::super) struct Frames {
    columns: usize,
    unread: Bytes,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Header,
    Rows,
    End,
}

/// The bytes are not those of a binary COPY with so many columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Malformed;

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So many bytes, without and with the number of fields before them.
    Row(usize),
    Incomplete,
    End,
}

impl Frames {
    /// Expects rows of so many columns.
    pub(in super::super) fn new(columns: usize) -> Self {
        Self { columns, unread: Bytes::new(), at: At::Header }
    }

    /// Takes what came next.
    pub(in super::super) fn feed(&mut self, chunk: Bytes) {
        if self.unread.is_empty() {
            self.unread = chunk;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.unread.len() + chunk.len());
        joined.extend_from_slice(&self.unread);
        joined.extend_from_slice(&chunk);
        self.unread = joined.freeze();
    }

    /// The fields of the next row that is whole; `None` until more comes, or at the end.
    pub(in super::super) fn next_row(&mut self) -> Result<Option<Bytes>, Malformed> {
        if self.at == At::Header && !self.skip_header()? {
            return Ok(None);
        }
        if self.at == At::End {
            return if self.unread.is_empty() { Ok(None) } else { Err(Malformed) };
        }
        match next(&self.unread, self.columns)? {
            Next::Incomplete => Ok(None),
            Next::End => {
                self.at = At::End;
                self.unread = Bytes::new();
                Ok(None)
            }
            Next::Row(length) => {
                let mut row = self.unread.split_to(length);
                Ok(Some(row.split_off(size_of::<i16>())))
            }
        }
    }

    /// Whether the end was sent, and not only reached.
    pub(in super::super) fn is_complete(&self) -> bool {
        self.at == At::End
    }

    fn skip_header(&mut self) -> Result<bool, Malformed> {
        let Some((header, rest)) = self.unread.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(false);
        };
        let after_signature = header.strip_prefix(SIGNATURE).ok_or(Malformed)?;
        let extension = after_signature.get(FLAGS_BYTES..).and_then(|bytes| bytes.first_chunk()).ok_or(Malformed)?;
        let extension = usize::try_from(u32::from_be_bytes(*extension)).map_err(|_| Malformed)?;
        if rest.len() < extension {
            return Ok(false);
        }
        self.unread = self.unread.split_off(HEADER_BYTES + extension);
        self.at = At::Rows;
        Ok(true)
    }
}

/// The fields of one row; `None` is NULL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next field.
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.0 = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Some(field))
    }
}

fn next(bytes: &[u8], columns: usize) -> Result<Next, Malformed> {
    let Some((count, mut rest)) = bytes.split_first_chunk() else {
        return Ok(Next::Incomplete);
    };
    let count = i16::from_be_bytes(*count);
    if count == END {
        return if rest.is_empty() { Ok(Next::End) } else { Err(Malformed) };
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(Malformed);
    }
    for _ in 0..columns {
        let Some((length, after)) = rest.split_first_chunk() else {
            return Ok(Next::Incomplete);
        };
        // −1 is NULL and has no bytes; what is below it, nobody sends.
        let length = i32::from_be_bytes(*length);
        let length = if length == -1 { 0 } else { usize::try_from(length).map_err(|_| Malformed)? };
        match after.get(length..) {
            Some(after) => rest = after,
            None => return Ok(Next::Incomplete),
        }
    }
    Ok(Next::Row(bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        for row in rows {
            bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
            for field in *row {
                bytes.extend(field.map_or(-1, |field| i32::try_from(field.len()).unwrap()).to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend(END.to_be_bytes());
        bytes
    }

    type Row = Vec<Option<Vec<u8>>>;

    fn read(bytes: &[u8], columns: usize, piece: usize) -> Result<(Vec<Row>, bool), Malformed> {
        let mut frames = Frames::new(columns);
        let mut rows = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.feed(Bytes::copy_from_slice(piece));
            while let Some(row) = frames.next_row()? {
                let mut fields = Fields(&row);
                rows.push((0..columns).map(|_| fields.next().unwrap().map(<[u8]>::to_vec)).collect());
            }
        }
        Ok((rows, frames.is_complete()))
    }

    #[test]
    fn rows_are_whole_wherever_the_bytes_are_cut() {
        let bytes = copy(&[&[Some(b"a"), None], &[Some(b""), Some(b"bcd")]]);
        let expected = vec![vec![Some(b"a".to_vec()), None], vec![Some(vec![]), Some(b"bcd".to_vec())]];
        for piece in [1, 2, 3, 7, 19, 1000] {
            assert_eq!(read(&bytes, 2, piece), Ok((expected.clone(), true)), "{piece}");
        }
        assert_eq!(read(&copy(&[&[], &[]]), 0, 5), Ok((vec![vec![], vec![]], true)));
    }

    #[test]
    fn what_ends_early_is_not_complete() {
        let bytes = copy(&[&[Some(b"a")], &[Some(b"b")]]);
        for length in 0..bytes.len() {
            let (rows, is_complete) = read(&bytes[..length], 1, 1000).unwrap();
            assert!(!is_complete && rows.len() <= 2, "{length}");
        }
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        assert_eq!(read(b"PGCOPY\n\xff\r\n\x01xxxxxxxx", 1, 1000), Err(Malformed));
        assert_eq!(read(&copy(&[&[Some(b"a")]]), 2, 1000), Err(Malformed));
        let mut longer = copy(&[]);
        longer.push(0);
        assert_eq!(read(&longer, 1, 1000), Err(Malformed));
    }
}

//! The byte order mark that spreadsheets and editors write before a text in UTF-8. It is no part of the text, and is passed over wherever a
//! text is read that people made.

use std::io::{self, Read};
use std::path::Path;

/// U+FEFF in UTF-8.
const MARK: &[u8; 3] = b"\xef\xbb\xbf";

/// An input without the mark that it may begin with. For whoever reads more than two bytes at once.
#[derive(Debug)]
pub struct Unmarked<R> {
    input: R,
    has_begun: bool,
}

impl<R: Read> Unmarked<R> {
    /// An input of which nothing was read.
    pub const fn of(input: R) -> Self {
        Self { input, has_begun: false }
    }
}

impl<R: Read> Read for Unmarked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_begun {
            return self.input.read(buffer);
        }
        // A pipe may give the first bytes one at a time.
        let (mut filled, wanted) = (0, MARK.len().min(buffer.len()));
        while filled < wanted {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.has_begun = wanted > 0;
        if !buffer[..filled].starts_with(MARK) {
            return Ok(filled);
        }
        buffer.copy_within(MARK.len()..filled, 0);
        // Nothing read would be the end of the input.
        if filled == MARK.len() { self.input.read(buffer) } else { Ok(filled - MARK.len()) }
    }
}

/// The text of a file.
///
/// # Errors
/// As [`std::fs::read_to_string`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map(|text| match text.strip_prefix('\u{feff}') {
        Some(unmarked) => unmarked.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Gives one byte at a time, as a pipe may.
    struct Drops<R>(R);

    impl<R: Read> Read for Drops<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn all(mut input: impl Read) -> Vec<u8> {
        let mut read = Vec::new();
        input.read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn a_mark_at_the_beginning_is_passed_over_and_nothing_else_is() {
        for (input, expected) in [
            ("\u{feff}a,b\n", "a,b\n"),
            ("\u{feff}", ""),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            ("a\u{feff}", "a\u{feff}"),
            ("", ""),
            ("ab", "ab"),
            ("\u{fe00}a", "\u{fe00}a"),
        ] {
            assert_eq!(all(Unmarked::of(Cursor::new(input))), expected.as_bytes(), "{input:?}");
            assert_eq!(all(Unmarked::of(Drops(Cursor::new(input)))), expected.as_bytes(), "{input:?} in drops");
        }
        assert_eq!(all(Unmarked::of(Cursor::new(b"\xef\xbb"))), b"\xef\xbb");
    }

    #[test]
    fn a_file_is_read_without_its_mark() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}key = 1\n").unwrap();
        assert_eq!(read_to_string(file.path()).unwrap(), "key = 1\n");
    }
}

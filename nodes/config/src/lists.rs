//! Reads the files of lists and of ported numbers: millions of them, one a line.
//!
//! Blocks on the file system: call it outside the runtime's workers. A file whose stamp (size, time, inode) did not change
//! is not read again, and numbers that did not change are not kept twice. The config node reads lists, and not the client
//! node: a list that cannot be read must refuse the whole reload, as any other fault of the configuration does, and an epoch
//! must bring its lists with it, so that a rollback brings back the old ones.
//! Invariant: memory holds one line and the entries, never the file.
//!
//! # Limits
//! While a reload is under way the old and the new numbers are both in memory, and as long as it can be rolled back: twice
//! the memory of the lists that changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smsgw_config::Config;
use smsgw_routing::{NumberSet, NumberSetBuilder, PortedBuilder, PortedNumbers};

use crate::watch::FileStamp;

/// Largest file.
const MAX_FILE: u64 = 1 << 30;
/// Longest line, with its comment.
const MAX_LINE: usize = 1024;
/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// What some editors write in front of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What was read before, and need not be read again.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    numbers: Known<NumberSet>,
    ported: Known<PortedNumbers>,
}

/// Tables of one kind, by the file that they were read from.
#[derive(Debug)]
struct Known<T> {
    known: BTreeMap<PathBuf, (FileStamp, Arc<T>)>,
    /// Read in this turn.
    read: BTreeMap<PathBuf, (FileStamp, Arc<T>)>,
    in_force: Vec<Arc<T>>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            read: BTreeMap::new(),
            in_force: Vec::new(),
        }
    }
}

impl Lists {
    /// Begins a turn: numbers that are in force are used again where they are the same.
    pub(crate) fn begin(&mut self, config: &Config) {
        let files = config.list.values().filter_map(|list| list.file.as_ref());
        self.numbers.begin(files.map(|file| Arc::clone(file.numbers())));
        let files = config.mnp.files.iter();
        self.ported.begin(files.map(|file| Arc::clone(file.numbers())));
    }

    /// Ends a turn: what it did not read is forgotten, unless it failed.
    pub(crate) fn end(&mut self, went_well: bool) {
        self.numbers.end(went_well);
        self.ported.end(went_well);
    }

    /// The numbers in a file, or why it cannot be used, in a few words that name the line.
    pub(crate) fn numbers(&mut self, path: &Path) -> Result<Arc<NumberSet>, String> {
        self.numbers.table(path, |file| Ok(entries(file)?.build()))
    }

    /// The ported numbers in a file, or why it cannot be used, in a few words that name the line where one is wrong.
    pub(crate) fn ported(&mut self, path: &Path) -> Result<Arc<PortedNumbers>, String> {
        self.ported.table(path, ported)
    }
}

impl<T: PartialEq> Known<T> {
    fn begin(&mut self, in_force: impl Iterator<Item = Arc<T>>) {
        self.in_force = in_force.collect();
        self.read.clear();
    }

    fn end(&mut self, went_well: bool) {
        self.in_force.clear();
        let read = std::mem::take(&mut self.read);
        if went_well {
            self.known = read;
        }
    }

    fn table(
        &mut self,
        path: &Path,
        table: impl FnOnce(std::io::Take<File>) -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        if let Some((_, numbers)) = self.read.get(path) {
            return Ok(Arc::clone(numbers));
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        // The stamp of the open file, taken first: what changes while it is read has another one at the next turn.
        let stamp = FileStamp::of_metadata(&metadata);
        let numbers = match self.known.get(path) {
            Some((known, numbers)) if *known == stamp => Arc::clone(numbers),
            Some(_) | None => {
                if metadata.is_dir() {
                    return Err("it is a directory".to_owned());
                }
                if metadata.len() > MAX_FILE {
                    return Err(format!("it is larger than {MAX_FILE} bytes"));
                }
                let fresh = table(file.take(MAX_FILE))?;
                let same = self.in_force.iter().find(|numbers| ***numbers == fresh);
                same.cloned().unwrap_or_else(|| Arc::new(fresh))
            }
        };
        self.read.insert(path.to_owned(), (stamp, Arc::clone(&numbers)));
        Ok(numbers)
    }
}

fn entries(source: impl Read) -> Result<NumberSetBuilder, String> {
    let mut builder = NumberSetBuilder::default();
    lines(source, |line| {
        builder.line(line).map_err(|error| error.to_string())
    })?;
    Ok(builder)
}

fn ported(source: impl Read) -> Result<PortedNumbers, String> {
    let mut builder = PortedBuilder::default();
    lines(source, |line| {
        builder.line(line).map_err(|error| error.to_string())
    })?;
    builder.build().map_err(|error| error.to_string())
}

/// Gives each line to its reader; what is wrong with one is said with its number.
fn lines(
    mut source: impl Read,
    mut read_line: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    let mut begun: Vec<u8> = Vec::new();
    let mut number = 1_u64;
    loop {
        let read = source.read(&mut chunk).map_err(|error| error.to_string())?;
        let mut rest = chunk.get(..read).unwrap_or_default();
        while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
            let (line, behind) = rest.split_at(end);
            if begun.is_empty() {
                take(&mut read_line, line, number)?;
            } else {
                begun.extend_from_slice(line);
                take(&mut read_line, &begun, number)?;
                begun.clear();
            }
            rest = behind.get(1..).unwrap_or_default();
            number = number.saturating_add(1);
        }
        begun.extend_from_slice(rest);
        if begun.len() > MAX_LINE {
            return Err(too_long(number));
        }
        if read == 0 {
            return take(&mut read_line, &begun, number);
        }
    }
}

fn take(
    read_line: &mut impl FnMut(&[u8]) -> Result<(), String>,
    line: &[u8],
    number: u64,
) -> Result<(), String> {
    if line.len() > MAX_LINE {
        return Err(too_long(number));
    }
    let first = (number == 1)
        .then(|| line.strip_prefix(BYTE_ORDER_MARK))
        .flatten();
    read_line(first.unwrap_or(line)).map_err(|error| format!("line {number}: {error}"))
}

fn too_long(number: u64) -> String {
    format!("line {number}: it is longer than {MAX_LINE} octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its octets in pieces of a few.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = self.1.min(buffer.len()).min(self.0.len());
            let (now, later) = self.0.split_at(most);
            buffer[..most].copy_from_slice(now);
            self.0 = later;
            Ok(most)
        }
    }

    #[test]
    fn lines_are_found_wherever_the_pieces_end() {
        let text = "\u{feff}491701234567\r\n# all of these\n4990*\n\n+4412345678 # one";
        for piece in 1..text.len() {
            let set = entries(Pieces(text.as_bytes(), piece)).unwrap().build();
            assert_eq!(set.len(), 3, "{piece}");
            assert!(set.contains("491701234567") && set.contains("49901") && set.contains("4412345678"));
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, why) in [
            ("49\n4x\n5x", "line 2: octet 1 is no digit"),
            ("49\n\n\n1234567890123456", "line 4: 16 digits"),
        ] {
            let error = entries(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
        let long = format!("1\n# {}\n", "x".repeat(MAX_LINE));
        for piece in [7, CHUNK] {
            let error = entries(Pieces(long.as_bytes(), piece)).map(|_| ()).unwrap_err();
            assert!(error.starts_with("line 2: it is longer"), "{error}");
        }
    }

    #[test]
    fn ported_numbers_are_read_and_a_wrong_line_is_named() {
        let table = ported("# all\n491701234567,26202\n491701234568\t26203\n".as_bytes()).unwrap();
        assert_eq!(
            table
                .network("491701234568")
                .map(|code| code.to_string())
                .as_deref(),
            Some("262-03")
        );
        for (text, why) in [
            ("4917 26202\n4918\n", "line 2: a line has"),
            ("4917 26202\n4917 26203\n", "1 numbers stand there twice"),
        ] {
            let error = ported(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_again_only_when_it_changed_and_the_same_numbers_are_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "49*\n").unwrap();
        let mut lists = Lists::default();
        lists.begin(&Config::default());
        let first = lists.numbers(&path).unwrap();
        lists.end(true);
        lists.begin(&Config::default());
        assert!(Arc::ptr_eq(&first, &lists.numbers(&path).unwrap()));
        lists.end(true);
        std::fs::write(&path, "49*\n44*\n").unwrap();
        lists.begin(&Config::default());
        assert_eq!(lists.numbers(&path).unwrap().len(), 2);
        // A turn that failed leaves what was known.
        lists.end(false);
        std::fs::write(&path, "49*\nx\n").unwrap();
        lists.begin(&Config::default());
        let error = lists.numbers(&path).unwrap_err();
        assert!(error.starts_with("line 2"), "{error}");
    }
}

//! What is wrong with a file, where, and what to do about it.
//!
//! Must not know how problems are drawn (the config node does that).
//! Invariant: neither message nor help contains a secret; `show_source` is set only where the line may be shown.

use std::fmt;
use std::ops::Range;

/// The kind of a problem; its page is `ops/docs/errors/<code>.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The text is not TOML.
    Syntax,
    /// A key that no section has.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A value of the wrong TOML type.
    WrongType,
    /// A value of the right type that cannot be read.
    BadValue,
    /// A value outside its range.
    OutOfRange,
    /// A name of an operator or client that has no section.
    UnknownName,
    /// Two accounts that cannot be told apart.
    DuplicateAccount,
    /// Keys that exclude each other.
    Conflict,
    /// An account without credentials.
    MissingCredentials,
    /// Something that this version does not have.
    NotInThisVersion,
    /// A key that has no effect where it stands.
    NoEffect,
    /// A secret's own file that cannot be used.
    SecretFile,
    /// The file itself cannot be read.
    Unreadable,
    /// A list's own file that cannot be used.
    ListFile,
    /// A file that is included and cannot be.
    Include,
    /// A `${NAME}` that cannot be followed.
    Environment,
    /// A key that stands in two files.
    DefinedTwice,
    /// A certificate's own file, or its key's, that cannot be used.
    CertificateFile,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 19] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongType,
        Self::BadValue,
        Self::OutOfRange,
        Self::UnknownName,
        Self::DuplicateAccount,
        Self::Conflict,
        Self::MissingCredentials,
        Self::NotInThisVersion,
        Self::NoEffect,
        Self::SecretFile,
        Self::Unreadable,
        Self::ListFile,
        Self::Include,
        Self::Environment,
        Self::DefinedTwice,
        Self::CertificateFile,
    ];

    /// The code as it is printed; never given to another meaning.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "SMSGW-C001",
            Self::UnknownKey => "SMSGW-C002",
            Self::MissingKey => "SMSGW-C003",
            Self::WrongType => "SMSGW-C004",
            Self::BadValue => "SMSGW-C005",
            Self::OutOfRange => "SMSGW-C006",
            Self::UnknownName => "SMSGW-C007",
            Self::DuplicateAccount => "SMSGW-C008",
            Self::Conflict => "SMSGW-C009",
            Self::MissingCredentials => "SMSGW-C010",
            Self::NotInThisVersion => "SMSGW-C011",
            Self::NoEffect => "SMSGW-C012",
            Self::SecretFile => "SMSGW-C013",
            Self::Unreadable => "SMSGW-C014",
            Self::ListFile => "SMSGW-C015",
            Self::Include => "SMSGW-C016",
            Self::Environment => "SMSGW-C017",
            Self::DefinedTwice => "SMSGW-C018",
            Self::CertificateFile => "SMSGW-C019",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the dotted path of the key.
    pub message: String,
    /// The kind.
    pub code: Code,
    /// The file, as it was named to `parse` or by what included it.
    pub file: String,
    /// Line, counted from 1; 0 when the file could not be read.
    pub line: usize,
    /// Column in characters, counted from 1; 0 when the file could not be read.
    pub column: usize,
    /// The place in the text of its file, in bytes.
    pub span: Range<usize>,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the value at the place may be shown; otherwise a renderer masks the line (see `masked_line`).
    pub show_source: bool,
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn unreadable(file: &str, message: String) -> Self {
        Self {
            message,
            code: Code::Unreadable,
            file: file.to_owned(),
            line: 0,
            column: 0,
            span: 0..0,
            help: None,
            show_source: false,
        }
    }

    /// Fills file, line and column from the text of the file that starts at `start`.
    pub(crate) fn place(&mut self, start: usize, file: &str, text: &str) {
        file.clone_into(&mut self.file);
        self.span = self.span.start.saturating_sub(start)..self.span.end.saturating_sub(start);
        let before = text.get(..self.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.line = before.matches('\n').count() + 1;
        self.column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    }
}

/// `gateway.toml:7:10: SMSGW-C006: operator.alpha.window: 0 is not in 1 to 100000 (help)`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(
                f,
                "{}:{}:{}: {}: {}",
                self.file, self.line, self.column, self.code, self.message
            )?;
        } else {
            write!(f, "{}: {}: {}", self.file, self.code, self.message)?;
        }
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

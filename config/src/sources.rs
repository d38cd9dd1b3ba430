//! The files of a configuration: the main one, and those that its `include` lists name.
//!
//! ```text
//! a place in any file = start of the file + offset in it;  starts: 0, len(main) + 1, …
//! ```
//! One number names a place in all files, so that everything behind the merge (reader, checks) knows one document. Reads no
//! file: the caller resolves a pattern into sources. Invariant: no file is there twice, and no file includes itself.
//!
//! # Limits
//! At most 1,000 files, 8 deep.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::env::{self, Environment};
use crate::problem::Code;

/// Files of one configuration at most.
const MOST_FILES: usize = 1000;
/// How deep files may include one another.
const DEEPEST: usize = 8;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// As problems name it.
    pub name: String,
    /// What is the same for the same file, however it was named: an absolute path without links.
    pub identity: String,
    /// What stands in it.
    pub text: String,
}

impl Source {
    /// A file whose name is all there is to know.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            identity: name.clone(),
            name,
            text: text.into(),
        }
    }
}

/// The text is left out: it may hold secrets.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .field("octets", &self.text.len())
            .finish()
    }
}

/// Resolves one pattern of an `include` list of a file: every file that it names, in their order, or why not in a few words.
pub type ReadInclude<'a> = dyn FnMut(&Source, &str) -> Result<Vec<Source>, String> + 'a;

/// All files of a configuration, the main one first, each before those that it includes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// Something wrong with an `include`, at a place in all files.
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Sources {
    /// A configuration of one file.
    pub fn single(name: &str, text: &str) -> Self {
        Self {
            files: vec![Source::new(name, text)],
        }
    }

    /// The files, the main one first.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// What stands in the file of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let found = self.files.iter().find(|file| file.name == name);
        found.map(|file| file.text.as_str())
    }

    /// Each file with the place where it starts.
    pub(crate) fn starts(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.files.iter().scan(0_usize, |next, file| {
            let start = *next;
            // One more than its length: the place behind the last octet belongs to the file too.
            *next = next.saturating_add(file.text.len()).saturating_add(1);
            Some((start, file))
        })
    }

    /// The file of a place, and where it starts.
    pub(crate) fn locate(&self, place: usize) -> Option<(usize, &Source)> {
        self.starts().take_while(|(start, _)| *start <= place).last()
    }

    /// `gateway.toml:7:10`, for the text of a problem elsewhere.
    pub(crate) fn describe(&self, place: usize) -> String {
        let Some((start, file)) = self.locate(place) else {
            return "another place".to_owned();
        };
        let before = file.text.get(..place.saturating_sub(start)).unwrap_or(&file.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{}:{column}", file.name, before.matches('\n').count() + 1)
    }

    /// Follows every `include` from the main file on.
    pub(crate) fn gather(
        main: Source,
        environment: &Environment<'_>,
        include: Option<&mut ReadInclude<'_>>,
    ) -> (Self, Vec<Fault>) {
        let mut sources = Self::default();
        let mut faults = Vec::new();
        match include {
            None => sources.files.push(main),
            Some(include) => {
                let mut walk = Walk {
                    sources: &mut sources,
                    faults: &mut faults,
                    open: Vec::new(),
                    next: 0,
                    environment,
                    include,
                };
                walk.file(main);
            }
        }
        (sources, faults)
    }
}

/// The state of following includes.
struct Walk<'a, 'b> {
    sources: &'a mut Sources,
    faults: &'a mut Vec<Fault>,
    /// The files that lead to this one: their identities and names.
    open: Vec<(String, String)>,
    next: usize,
    environment: &'a Environment<'a>,
    include: &'a mut ReadInclude<'b>,
}

impl Walk<'_, '_> {
    fn file(&mut self, source: Source) {
        let start = self.next;
        self.next = self.next.saturating_add(source.text.len()).saturating_add(1);
        self.sources.files.push(source.clone());
        self.open.push((source.identity.clone(), source.name.clone()));
        for (pattern, span) in patterns(&source.text, self.environment) {
            let span = span.start.saturating_add(start)..span.end.saturating_add(start);
            self.pattern(&source, &pattern, span);
        }
        self.open.pop();
    }

    fn pattern(&mut self, from: &Source, pattern: &str, span: Range<usize>) {
        if self.open.len() >= DEEPEST {
            let message = format!("include: {pattern:?} is more than {DEEPEST} files deep");
            return self.fault(span, message, None);
        }
        let found = match (self.include)(from, pattern) {
            Ok(found) => found,
            Err(why) => return self.fault(span, format!("include: {pattern:?} {why}"), None),
        };
        for source in found {
            if self.open.iter().any(|(identity, _)| *identity == source.identity) {
                let way: Vec<&str> = self.open.iter().map(|(_, name)| name.as_str()).collect();
                let message = format!("include: {} includes itself", source.name);
                let help = format!("the way: {} -> {}", way.join(" -> "), source.name);
                self.fault(span.clone(), message, Some(help));
            } else if self
                .sources
                .files
                .iter()
                .any(|file| file.identity == source.identity)
            {
                let message = format!("include: {} is included already", source.name);
                self.fault(span.clone(), message, Some("name each file once".to_owned()));
            } else if self.sources.files.len() >= MOST_FILES {
                let message = format!("include: more than {MOST_FILES} files");
                return self.fault(span, message, None);
            } else {
                self.file(source);
            }
        }
    }

    fn fault(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.faults.push(Fault {
            code: Code::Include,
            span,
            message,
            help,
        });
    }
}

/// The patterns of the `include` list of a text, where they stand. What is wrong with the list is found by the merge.
fn patterns(text: &str, environment: &Environment<'_>) -> Vec<(String, Range<usize>)> {
    if !text.contains("include") {
        return Vec::new();
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Vec::new();
    }
    let Some(DeValue::Array(array)) = document.get_ref().get("include").map(|value| value.get_ref()) else {
        return Vec::new();
    };
    let texts = array
        .iter()
        .filter_map(|item| Some((item.get_ref().as_str()?, item.span())));
    texts
        .map(|(pattern, span)| (env::expanded(pattern, environment), span))
        .collect()
}

#[cfg(test)]
mod tests;

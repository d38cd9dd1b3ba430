//! Draws problems for people: place, source line, caret, help.
//!
//! The drawing sees only the one line of each problem, and that line masked where its value must not be shown, so
//! nothing else of the file can leak. Must not know where the text goes.
//! Invariant: as many problems are drawn as there are, up to `MOST`; the rest is counted.

use std::fmt;
use std::io::IsTerminal as _;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use smsgw_config::{Problem, Sources, masked_line};

/// Problems that are drawn at most: more helps nobody.
const MOST: usize = 200;

/// Width of the drawing, in columns.
const WIDTH: usize = 120;

/// How problems are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderStyle {
    /// With colours.
    Terminal,
    /// For files and pipes: ASCII, no escape codes.
    Plain,
}

impl RenderStyle {
    /// The style for standard error as it is now; `NO_COLOR` is respected.
    pub fn for_stderr() -> Self {
        let colours =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        if colours { Self::Terminal } else { Self::Plain }
    }
}

/// All problems as one text, each with its line of the file it stands in.
pub fn render(problems: &[Problem], sources: &Sources, style: RenderStyle) -> String {
    let theme = match style {
        RenderStyle::Terminal => GraphicalTheme::unicode(),
        RenderStyle::Plain => {
            // ASCII without colours: `none` is what miette calls it.
            GraphicalTheme::none()
        }
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_context_lines(0)
        .with_width(WIDTH);
    let mut out = String::new();
    for problem in problems.iter().take(MOST) {
        let before = out.len();
        if handler
            .render_report(&mut out, &Drawn::of(problem, sources.text_of(&problem.file)))
            .is_err()
        {
            // The place could not be drawn; the sentence says the same.
            out.truncate(before);
            out.push_str(&problem.to_string());
        }
        out.push('\n');
    }
    if problems.len() > MOST {
        out.push_str(&format!("and {} more\n", problems.len() - MOST));
    }
    out
}

/// The only line of a file that miette gets to see.
#[derive(Debug)]
struct OneLine {
    file: String,
    /// Counted from 1.
    number: usize,
    text: String,
}

impl SourceCode for OneLine {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        _lines_before: usize,
        _lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // The whole line, whatever part of it is asked for: a value alone says little.
        let column = self
            .text
            .get(..span.offset())
            .map_or(0, |before| before.chars().count());
        let whole = SourceSpan::from((0, self.text.len()));
        let line = self.number - 1;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            self.text.as_bytes(),
            whole,
            line,
            column,
            1,
        )))
    }
}

/// One problem as miette wants it.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    source: Option<OneLine>,
    start: usize,
    length: usize,
}

impl<'a> Drawn<'a> {
    fn of(problem: &'a Problem, text: Option<&str>) -> Self {
        let Some(text) = text.filter(|_| problem.line > 0) else {
            return Self {
                problem,
                source: None,
                start: 0,
                length: 0,
            };
        };
        let line = text
            .split('\n')
            .nth(problem.line - 1)
            .unwrap_or_default()
            .trim_end_matches('\r');
        let shown = masked_line(line, problem.show_source);
        let column: usize = line.chars().take(problem.column - 1).map(char::len_utf8).sum();
        let (start, length) = if line.starts_with(&shown) {
            let length = problem.span.len().min(shown.len().saturating_sub(column));
            (
                column.min(shown.len()),
                length.max(usize::from(column < shown.len())),
            )
        } else {
            // The columns behind the mask are not those of the file.
            match shown.find("***") {
                Some(mask) if column >= mask => (mask, 3),
                Some(mask) => (column, problem.span.len().min(mask - column).max(1)),
                None => (0, 0),
            }
        };
        let source = OneLine {
            file: problem.file.clone(),
            number: problem.line,
            text: shown,
        };
        Self {
            problem,
            source: Some(source),
            start,
            length,
        }
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The exact place stands here too: the drawing's own column is that of a masked line.
        if self.problem.line > 0 {
            write!(
                f,
                "{}:{}:{}: {}",
                self.problem.file, self.problem.line, self.problem.column, self.problem.message
            )
        } else {
            write!(f, "{}: {}", self.problem.file, self.problem.message)
        }
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.problem.code))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.problem
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display + 'b>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let label = LabeledSpan::new(Some("here".to_owned()), self.start, self.length);
        Some(Box::new(std::iter::once(label)))
    }
}

//! What both drawings share: spans of time, printable text, lines that fit.

use jiff::Timestamp;
use std::fmt::Write;

/// Columns that a drawing may take.
pub(super) const WIDTH: usize = 80;

/// Lines of a tree: for terminals that show them, and for those that do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glyphs {
    pub(super) child: &'static str,
    pub(super) last: &'static str,
    pub(super) pass: &'static str,
    pub(super) none: &'static str,
}

impl Glyphs {
    pub(super) const LINES: Self = Self {
        child: "├─ ",
        last: "└─ ",
        pass: "│  ",
        none: "   ",
    };
    pub(super) const ASCII: Self = Self {
        child: "|- ",
        last: "`- ",
        pass: "|  ",
        none: "   ",
    };

    /// By the locale: the first of these variables that is set decides.
    pub(super) fn of_terminal() -> Self {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty());
        let utf8 = set.is_some_and(|value| {
            let value = value.to_string_lossy().to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        });
        if utf8 { Self::LINES } else { Self::ASCII }
    }
}

/// A span as people say it: `12s`, `3m12s`, `5h03m`, `12d04h`. An unreadable time is `?`.
pub(super) fn since(from: &str, to: &str) -> String {
    let (Ok(from), Ok(to)) = (from.parse::<Timestamp>(), to.parse::<Timestamp>()) else {
        return "?".to_owned();
    };
    let millis = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// The time of day of a moment: `11:40:15Z`.
pub(super) fn clock(at: &str) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => at.strftime("%H:%M:%SZ").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// Text without anything that could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || is_steering(c) { '.' } else { c })
        .collect()
}

/// Marks that turn the direction of text around.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text in lines of [`WIDTH`], broken at spaces, each after an indent.
pub(super) fn wrapped(out: &mut String, first: &str, indent: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in printable(text).split(' ').filter(|word| !word.is_empty()) {
        let mut rest = word;
        loop {
            let room = WIDTH.saturating_sub(line.chars().count() + usize::from(!empty));
            if rest.chars().count() <= room {
                line.push_str(if empty { "" } else { " " });
                line.push_str(rest);
                empty = false;
                break;
            }
            if empty {
                // Longer than a line: cut where the line ends.
                let at = rest
                    .char_indices()
                    .nth(room.max(1))
                    .map_or(rest.len(), |(at, _)| at);
                let (head, tail) = rest.split_at(at);
                line.push_str(head);
                rest = tail;
            }
            push_line(out, &line);
            line = indent.to_owned();
            empty = true;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !empty {
        push_line(out, &line);
    }
}

pub(super) fn push_line(out: &mut String, line: &str) {
    writeln!(out, "{}", line.trim_end()).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_never_negative() {
        let from = "2026-11-21T08:00:00.000Z";
        for (to, said) in [
            ("2026-11-21T08:00:12.900Z", "12s"),
            ("2026-11-21T08:03:12.000Z", "3m12s"),
            ("2026-11-21T13:03:12.000Z", "5h03m"),
            ("2026-12-03T12:00:00.000Z", "12d04h"),
            ("2026-11-21T07:00:00.000Z", "0s"),
            ("gibberish", "?"),
        ] {
            assert_eq!(since(from, to), said);
        }
        assert_eq!(clock("2026-11-21T08:03:12.345Z"), "08:03:12Z");
    }

    #[test]
    fn text_is_wrapped_cut_and_disarmed() {
        let mut out = String::new();
        let text = format!("refused \u{1b}[2J\u{202e}by {} the peer", "x".repeat(200));
        wrapped(&mut out, "  ! ", "    ", &text);
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
        assert!(out.starts_with("  ! refused .[2J.by\n"), "{out}");
        assert!(out.ends_with(" the peer\n"), "{out}");
        assert_eq!(out.matches('x').count(), 200, "nothing is lost: {out}");
    }
}

//! Counts tests from the closing lines of the two runners.
//!
//! Reads `Summary [ 1.2s] 12 tests run: 11 passed (1 slow), 1 failed, 3 skipped` and
//! `test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`. Any other line counts nothing.

use std::fmt;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Tally {
    pub(super) fn read(&mut self, line: &str) {
        let counts = if let Some((head, counts)) = line.split_once(" run: ") {
            if !head.trim_start().starts_with("Summary") {
                return;
            }
            counts
        } else if let Some(rest) = line.trim_start().strip_prefix("test result: ") {
            rest.split_once(". ").map_or("", |(_, counts)| counts)
        } else {
            return;
        };
        for (number, word) in pairs(counts) {
            match word {
                "passed" => self.passed += number,
                // Each of these is a test that did not pass.
                "failed" | "timed" | "exec" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// Each number with the word after it, outside parentheses: those break a number down that was already given.
fn pairs(counts: &str) -> Vec<(u64, &str)> {
    let mut depth = 0_usize;
    let mut last = None;
    let mut found = Vec::new();
    for word in counts.split_whitespace() {
        depth += word.matches('(').count();
        if depth == 0 {
            match (last.take(), word.parse::<u64>()) {
                (_, Ok(number)) => last = Some(number),
                (Some(number), Err(_)) => found.push((number, word.trim_end_matches([',', ';']))),
                (None, Err(_)) => {}
            }
        }
        depth = depth.saturating_sub(word.matches(')').count());
    }
    found
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tests: {} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (u64, u64, u64) {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn both_runners_are_added_up() {
        let lines = [
            "     Summary [   1.234s] 12 tests run: 11 passed (1 slow, 2 leaky), 1 failed, 3 skipped",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.31s",
        ];
        assert_eq!(read(&lines), (13, 1, 4));
    }

    #[test]
    fn what_timed_out_or_did_not_start_failed() {
        assert_eq!(
            read(&["Summary [ 9.0s] 4 tests run: 1 passed, 2 timed out, 1 exec failed, 0 skipped"]),
            (1, 3, 0)
        );
        assert_eq!(
            read(&["Summary [ 9.0s] 2/4 tests run: 1 passed, 1 failed, 0 skipped"]),
            (1, 1, 0)
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(
            read(&["        PASS [   0.004s] a test run: 3 passed", "12 passed", ""]),
            (0, 0, 0)
        );
    }

    #[test]
    fn the_closing_line_reads_as_a_tally() {
        let tally = Tally {
            passed: 3,
            failed: 1,
            skipped: 2,
        };
        assert_eq!(tally.to_string(), "tests: 3 passed, 1 failed, 2 skipped");
    }
}

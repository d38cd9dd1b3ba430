//! Tables for people: each column as wide as what stands in it, so that most fit into 80 columns.
//!
//! Knows no terminal. Invariant: every row has its cells under their heads, whatever they hold.

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows of `N` cells, and notes between them.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    sides: [Side; N],
    lines: Vec<Line<N>>,
}

#[derive(Debug)]
enum Line<const N: usize> {
    Row([String; N]),
    Note(String),
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [(&str, Side); N]) -> Self {
        Self {
            sides: heads.map(|(_, side)| side),
            lines: vec![Line::Row(heads.map(|(head, _)| head.to_owned()))],
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.lines.push(Line::Row(cells));
    }

    /// A line of its own, of what is above it.
    pub(super) fn note(&mut self, text: &str) {
        self.lines.push(Line::Note(format!("  {text}")));
    }

    pub(super) fn draw(&self) -> String {
        let mut widths = [0; N];
        for line in &self.lines {
            if let Line::Row(cells) = line {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = cell.chars().count().max(*width);
                }
            }
        }
        let mut out = String::new();
        for line in &self.lines {
            match line {
                Line::Note(text) => out.push_str(text),
                Line::Row(cells) => {
                    let cells: Vec<String> = cells
                        .iter()
                        .zip(widths.iter().zip(self.sides))
                        .map(|(cell, (width, side))| match side {
                            Side::Left => format!("{cell:width$}"),
                            Side::Right => format!("{cell:>width$}"),
                        })
                        .collect();
                    out.push_str(cells.join("  ").trim_end());
                }
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let mut table = Table::new([
            ("LINK", Side::Left),
            ("SENT/S", Side::Right),
            ("PEER", Side::Left),
        ]);
        assert_eq!(table.draw(), "LINK  SENT/S  PEER\n");
        table.row(["a-1", "12345.6", "[2001:db8::1]:2775"].map(str::to_owned));
        table.note("last error: refused");
        table.row(["über-1", "0.0", "-"].map(str::to_owned));
        assert_eq!(
            table.draw(),
            "LINK     SENT/S  PEER\n\
             a-1     12345.6  [2001:db8::1]:2775\n  \
               last error: refused\n\
             über-1      0.0  -\n"
        );
    }
}

//! One table of 128 codes, indexed in both directions at compile time.
//!
//! Tables are written down as [`Run`]s: where a standard follows the order of Unicode, a dozen of them say what 128
//! lines would. Knows nothing of escapes: whether a table is the main one or the one behind the escape, its user decides.
//!
//! Invariant TB-1: [`Table::character`] of what [`Table::code`] gives is the character that was asked for. Where a
//! character stands twice, the lower code is the one written.

/// Septets in one table.
pub(super) const TABLE_LEN: usize = 128;

/// First code, first character, how many: the next code means the next character of Unicode.
pub(super) type Run = (u8, char, u8);

/// No character behind this code; no table holds NUL.
const NO_CHAR: char = '\0';
/// No code for this character; codes have seven bits.
const NO_CODE: u8 = u8::MAX;

/// Codes and characters of one table.
pub(super) struct Table {
    characters: [char; TABLE_LEN],
    /// Codes of U+0000..=U+00FF: nearly every character of nearly every message.
    latin1: [u8; 256],
    /// Codes of the others, sorted by character and padded with `(char::MAX, NO_CODE)`.
    wide: [(char, u8); TABLE_LEN],
}

impl Table {
    /// Indexes a table. NUL stands for nothing.
    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time: a bad index does not compile"
    )]
    pub(super) const fn of(characters: [char; TABLE_LEN]) -> Self {
        let mut table = Self {
            characters,
            latin1: [NO_CODE; 256],
            wide: [(char::MAX, NO_CODE); TABLE_LEN],
        };
        let mut code: u8 = 0;
        while (code as usize) < TABLE_LEN {
            let character = characters[code as usize];
            if character != NO_CHAR {
                table.learn(character, code);
            }
            code += 1;
        }
        table
    }

    /// A table of runs; a later one replaces what an earlier one put on the same code.
    pub(super) const fn of_runs(lists: &[&[Run]]) -> Self {
        Self::of(replace([NO_CHAR; TABLE_LEN], lists))
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time: a bad index does not compile"
    )]
    const fn learn(&mut self, character: char, code: u8) {
        let scalar = character as u32;
        if scalar < 256 {
            if self.latin1[scalar as usize] == NO_CODE {
                self.latin1[scalar as usize] = code;
            }
            return;
        }
        let mut at = 0;
        while (self.wide[at].0 as u32) < scalar {
            at += 1;
        }
        if self.wide[at].0 as u32 == scalar {
            return;
        }
        let mut last = TABLE_LEN - 1;
        while last > at {
            self.wide[last] = self.wide[last - 1];
            last -= 1;
        }
        self.wide[at] = (character, code);
    }

    /// The code of a character.
    #[inline(always)] // once a character: in a call of its own it costs as much as the rest of encoding
    pub(super) fn code(&self, character: char) -> Option<u8> {
        let code = match u8::try_from(character) {
            Ok(latin1) => self.latin1.get(usize::from(latin1)).copied()?,
            Err(_) => return self.wide_code(character),
        };
        (code != NO_CODE).then_some(code)
    }

    #[inline(never)]
    fn wide_code(&self, character: char) -> Option<u8> {
        let at = self.wide.binary_search_by_key(&character, |entry| entry.0).ok()?;
        // The padding is found under the last character of Unicode.
        self.wide
            .get(at)
            .map(|entry| entry.1)
            .filter(|code| *code != NO_CODE)
    }

    /// The character of a code; `None` where the table is void, and for what is no septet.
    #[inline]
    pub(super) fn character(&self, code: u8) -> Option<char> {
        let character = self.characters.get(usize::from(code)).copied()?;
        (character != NO_CHAR).then_some(character)
    }
}

/// The characters with runs laid over them.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time: a bad index does not compile"
)]
pub(super) const fn replace(mut characters: [char; TABLE_LEN], lists: &[&[Run]]) -> [char; TABLE_LEN] {
    let mut list = 0;
    while list < lists.len() {
        let mut run = 0;
        while run < lists[list].len() {
            let (code, first, count) = lists[list][run];
            let mut step: u8 = 0;
            while step < count {
                characters[(code + step) as usize] = match char::from_u32(first as u32 + step as u32) {
                    Some(character) => character,
                    None => panic!("a run leads out of Unicode"),
                };
                step += 1;
            }
            run += 1;
        }
        list += 1;
    }
    characters
}

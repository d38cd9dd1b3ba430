//! What stands for what. Every right side is in the GSM default alphabet.
//!
//! Data only; when it is used is decided above.

/// ASCII for the fullwidth forms U+FF01 to U+FF5E.
pub(super) fn fullwidth(character: char) -> Option<char> {
    match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(character) - 0xFEE0),
        _ => None,
    }
}

/// Whether it is a fraction that would run into a digit before it.
pub(super) const fn is_fraction(character: char) -> bool {
    matches!(character, '¼'..='¾' | '⅐'..='⅞' | '↉')
}

/// Plain characters with the same meaning; an empty text for those without width.
pub(super) const fn typography(character: char) -> Option<&'static str> {
    Some(match character {
        // Quotes: single, primes, accents typed for quotes, modifier letters.
        '‘' | '’' | '‚' | '‛' | '′' | '‵' | '`' | '´' | 'ʹ' | 'ʻ' | 'ʼ' | 'ʽ' | 'ˈ' | '‹' | '›' => {
            "'"
        }
        '“' | '”' | '„' | '‟' | '″' | '‶' | 'ʺ' | '«' | '»' | '〝' | '〞' | '〟' => "\"",
        '‴' => "'''",
        // Dashes: hyphens, figure to horizontal bar, minus, small and vertical forms.
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '⁃' | '﹘' | '﹣' => "-",
        '‗' => "_",
        // Dots.
        '․' => ".",
        '‥' => "..",
        '…' => "...",
        '·' | '‧' | '∙' | '⋅' => ".",
        '‼' => "!!",
        '⁇' => "??",
        '⁈' => "?!",
        '⁉' => "!?",
        // Bullets.
        '•' | '‣' | '◦' | '▪' | '▫' | '●' | '○' | '■' | '□' | '∗' | '⁎' => "*",
        // Spaces, and breaks between lines and paragraphs.
        '\t' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{B}' | '\u{85}' | '\u{2028}' | '\u{2029}' => "\n",
        // Without width: soft hyphen, joiners, marks and isolates of direction, variation selectors, byte order mark.
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202C}' => {
            ""
        }
        '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' => "",
        // Ligatures.
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        'œ' => "oe",
        'Œ' => "OE",
        'ĳ' => "ij",
        'Ĳ' => "IJ",
        // Fractions.
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '⅐' => "1/7",
        '⅑' => "1/9",
        '⅒' => "1/10",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '⅕' => "1/5",
        '⅖' => "2/5",
        '⅗' => "3/5",
        '⅘' => "4/5",
        '⅙' => "1/6",
        '⅚' => "5/6",
        '⅛' => "1/8",
        '⅜' => "3/8",
        '⅝' => "5/8",
        '⅞' => "7/8",
        '↉' => "0/3",
        '⁄' | '∕' => "/",
        // Signs.
        '™' => "(TM)",
        '℠' => "(SM)",
        '©' => "(C)",
        '®' => "(R)",
        '№' => "No.",
        '×' => "x",
        '¦' => "|",
        '˜' | '∼' => "~",
        'ˆ' => "^",
        '∆' => "Δ",
        '∏' => "Π",
        '∑' => "Σ",
        // Fullwidth signs outside the row of ASCII.
        '￡' => "£",
        '￥' => "¥",
        '￤' => "|",
        _ => return None,
    })
}

/// Letters that no accent comes off from, and Greek capitals that look like Latin ones.
pub(super) const fn letter(character: char) -> Option<&'static str> {
    Some(match character {
        'đ' | 'ð' | 'ɖ' => "d",
        'Đ' | 'Ð' | 'Ɖ' => "D",
        'ħ' => "h",
        'Ħ' => "H",
        'ı' => "i",
        'ł' => "l",
        'Ł' => "L",
        'ŋ' => "n",
        'Ŋ' => "N",
        'ŧ' => "t",
        'Ŧ' => "T",
        'þ' => "th",
        'Þ' => "Th",
        'ẞ' => "ß",
        'ſ' => "s",
        'ə' => "e",
        'Ə' => "E",
        'ª' => "a",
        'º' => "o",
        'Α' => "A",
        'Β' => "B",
        'Ε' => "E",
        'Ζ' => "Z",
        'Η' => "H",
        'Ι' => "I",
        'Κ' => "K",
        'Μ' => "M",
        'Ν' => "N",
        'Ο' => "O",
        'Ρ' => "P",
        'Τ' => "T",
        'Υ' => "Y",
        'Χ' => "X",
        _ => return None,
    })
}

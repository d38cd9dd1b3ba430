//! Rust source as tokens, for the rules that ask which names the code of a file uses.
//!
//! Comments, strings and character literals are gone, and so is what only tests compile: items under `#[cfg(test)]`.
//! Each token knows its line. From the tokens come the paths a file names, with `use` trees spread out into one path
//! per leaf.
//!
//! # Limits
//! It does not resolve names and does not expand macros: what hides behind an alias of an alias, or inside a macro of
//! another crate, is not seen. The lints in `.clippy.toml` look there.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A path as written, `std::time::Instant` as three segments; a name alone is a path of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// The code of a file that is compiled without `cfg(test)`, and the modules it declares for tests only.
#[derive(Debug, Default)]
pub(super) struct Shipped {
    pub(super) tokens: Vec<Token>,
    pub(super) test_modules: BTreeSet<String>,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts source into words, `::`, and other characters one by one. Words include numbers and keywords.
pub(super) fn tokenize(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = end_of_block_comment(&chars, i);
        } else if let Some(end) = end_of_string(&chars, i) {
            i = end;
        } else if c == '\'' {
            i = end_of_quote(&chars, i);
        } else if is_word(c) {
            // `r#name` is the name.
            let raw = c == 'r' && at(i + 1) == '#' && is_word(at(i + 2));
            let from = if raw { i + 2 } else { i };
            i = from;
            while is_word(at(i)) {
                i += 1;
            }
            tokens.push(Token {
                line,
                text: chars.iter().skip(from).take(i - from).collect(),
            });
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push(Token {
                line,
                text: "::".into(),
            });
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(Token { line, text: c.into() });
            }
            i += 1;
        }
        line += chars
            .iter()
            .skip(start)
            .take(i - start)
            .filter(|&&c| c == '\n')
            .count();
    }
    tokens
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = start;
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => {
                depth += 1;
                i += 2;
            }
            (Some('*'), Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

/// The end of the string literal that starts here, plain, raw, byte or C; `None` when none starts here.
fn end_of_string(chars: &[char], start: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut i = start;
    let prefixed = matches!(at(i), 'b' | 'c') && matches!(at(i + 1), '"' | 'r');
    if prefixed {
        i += 1;
    }
    if at(i) == 'r' && matches!(at(i + 1), '"' | '#') {
        let mut hashes = 0;
        i += 1;
        while at(i) == '#' {
            hashes += 1;
            i += 1;
        }
        if at(i) != '"' {
            return None;
        }
        i += 1;
        while i < chars.len() {
            if at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#') {
                return Some(i + 1 + hashes);
            }
            i += 1;
        }
        return Some(i);
    }
    if at(i) != '"' {
        return None;
    }
    i += 1;
    while i < chars.len() {
        match at(i) {
            '\\' => i += 2,
            '"' => return Some(i + 1),
            _ => i += 1,
        }
    }
    Some(i)
}

/// The end of a character literal, or of the quote alone when it opens a lifetime.
fn end_of_quote(chars: &[char], start: usize) -> usize {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    if at(start + 1) == '\\' {
        let mut i = start + 3;
        while i < chars.len() && at(i) != '\'' && at(i) != '\n' {
            i += 1;
        }
        return i + 1;
    }
    if at(start + 2) == '\'' {
        start + 3
    } else {
        start + 1
    }
}

/// Takes out what only tests compile.
pub(super) fn shipped(tokens: Vec<Token>) -> Shipped {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let mut kept = Shipped::default();
    let mut i = 0;
    while i < tokens.len() {
        let inner = text(i) == "#" && text(i + 1) == "!" && is_cfg_test(&tokens, i + 2);
        if inner {
            return Shipped::default();
        }
        if text(i) == "#" && is_cfg_test(&tokens, i + 1) {
            let mut start = end_of_brackets(&tokens, i + 1);
            while text(start) == "#" {
                start = end_of_brackets(&tokens, start + 1);
            }
            let end = end_of_item(&tokens, start);
            if let Some(name) = declared_module(&tokens, start, end) {
                kept.test_modules.insert(name);
            }
            i = end;
        } else {
            kept.tokens.extend(tokens.get(i).cloned());
            i += 1;
        }
    }
    kept
}

/// Whether the brackets that open here say `cfg(test)` or `cfg(all(test, …))`.
fn is_cfg_test(tokens: &[Token], open: usize) -> bool {
    let starts = |words: &[&str]| {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| tokens.get(open + n).is_some_and(|t| t.text == *word))
    };
    starts(&["[", "cfg", "(", "test", ")"]) || starts(&["[", "cfg", "(", "all", "(", "test"])
}

fn end_of_brackets(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "[" => depth += 1,
            "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// An item ends with its closing brace, or with a semicolon outside all brackets.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return i + 1;
                }
            }
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The name in `mod name;`.
fn declared_module(tokens: &[Token], start: usize, end: usize) -> Option<String> {
    let item = tokens.get(start..end)?;
    let at = item.iter().position(|t| t.text == "mod")?;
    let name = item.get(at + 1)?;
    (item.get(at + 2)?.text == ";").then(|| name.text.clone())
}

/// Every path the tokens name; a `use` tree gives one path per leaf, a glob ends in `*`.
pub(super) fn paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut found = Vec::new();
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        let next = tokens.get(i + 1).map_or("", |t| t.text.as_str());
        if token.text == "use" && next != "<" {
            i = use_tree(tokens, i + 1, &[], &mut found);
        } else if token.text.chars().next().is_some_and(is_word) {
            let (segments, end) = plain_path(tokens, i);
            found.push(NamedPath {
                line: token.line,
                segments,
            });
            i = end;
        } else {
            i += 1;
        }
    }
    found
}

fn plain_path(tokens: &[Token], start: usize) -> (Vec<String>, usize) {
    let mut segments: Vec<String> = tokens.get(start).map(|t| t.text.clone()).into_iter().collect();
    let mut i = start + 1;
    while tokens.get(i).is_some_and(|t| t.text == "::") {
        match tokens.get(i + 1) {
            Some(word) if word.text.chars().next().is_some_and(is_word) => {
                segments.push(word.text.clone());
                i += 2;
            }
            _ => break,
        }
    }
    (segments, i)
}

/// Reads one branch of a `use` tree and returns where it ends.
fn use_tree(tokens: &[Token], start: usize, prefix: &[String], found: &mut Vec<NamedPath>) -> usize {
    let mut segments = prefix.to_vec();
    let mut i = start;
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "::" => i += 1,
            "{" => {
                i += 1;
                while let Some(inside) = tokens.get(i) {
                    match inside.text.as_str() {
                        "}" => return i + 1,
                        "," => i += 1,
                        _ => i = use_tree(tokens, i, &segments, found).max(i + 1),
                    }
                }
                return i;
            }
            "," | "}" | ";" => {
                found.push(NamedPath {
                    line: token.line,
                    segments,
                });
                return i;
            }
            // The alias is a new name for what is already recorded.
            "as" => i += 2,
            word => {
                segments.push(word.to_owned());
                i += 1;
            }
        }
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokenize(source).into_iter().map(|t| t.text).collect()
    }

    fn named(source: &str) -> Vec<String> {
        paths(&shipped(tokenize(source)).tokens)
            .into_iter()
            .map(|p| p.segments.join("::"))
            .collect()
    }

    #[test]
    fn comments_strings_and_characters_are_no_tokens() {
        assert_eq!(words("a // std::fs\n/* b /* c */ d */ e"), ["a", "e"]);
        assert_eq!(
            words(r####"a "x \" y" b r#"say "hi""# c b"z" d br##"q"# w"## e c"n" f"####),
            ["a", "b", "c", "d", "e", "f"]
        );
        assert_eq!(words(r"a 'x' b '\'' c '\u{1F600}' d"), ["a", "b", "c", "d"]);
        assert_eq!(
            words("fn f<'a>(x: &'a str)"),
            ["fn", "f", "<", "a", ">", "(", "x", ":", "&", "a", "str", ")"]
        );
        assert_eq!(words("r#type::now"), ["type", "::", "now"]);
    }

    #[test]
    fn tokens_know_their_line() {
        let lines: Vec<_> = tokenize("a\n\"x\ny\"\nb /*\n*/ c")
            .into_iter()
            .map(|t| (t.text, t.line))
            .collect();
        assert_eq!(
            lines,
            [("a".to_owned(), 1), ("b".to_owned(), 4), ("c".to_owned(), 5)]
        );
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            named("use std::{fs, io::{self, Read as R}, time::*}; x"),
            ["std::fs", "std::io::self", "std::io::Read", "std::time::*", "x"]
        );
        assert_eq!(named("pub use ::std::fs::File;"), ["pub", "std::fs::File"]);
    }

    #[test]
    fn what_only_tests_compile_is_not_shipped() {
        let source = "a(); #[cfg(test)] #[allow(x)] mod tests { fn f() { b() } } #[cfg(test)] mod samples; #[cfg(test)] use c::d; e();";
        let shipped = shipped(tokenize(source));
        let left: Vec<_> = shipped
            .tokens
            .iter()
            .map(|t| t.text.as_str())
            .filter(|t| t.len() == 1 && t.chars().all(is_word))
            .collect();
        assert_eq!(left, ["a", "e"]);
        assert_eq!(shipped.test_modules.into_iter().collect::<Vec<_>>(), ["samples"]);
    }

    #[test]
    fn code_for_a_feature_is_shipped() {
        assert_eq!(
            named("#[cfg(not(test))] fn f() {}"),
            ["cfg", "not", "test", "fn", "f"]
        );
        assert!(named("#[cfg(feature = \"x\")] fn f() { g() }").contains(&"g".to_owned()));
    }
}

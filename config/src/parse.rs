//! From text to a whole configuration, or to every problem of the text.
//!
//! Syntax first, then each section, then what must agree between sections. Reads no file: the caller gives the text
//! and, where passwords have files of their own, a way to get them.

use std::path::Path;
use std::sync::Arc;

use smsgw_routing::NumberSet;
use toml::de::{DeTable, DeValue};

use crate::check;
use crate::problem::{Code, Problem};
use crate::reader::Reader;
use crate::schema::Config;
use crate::secrets::SecretFile;
use crate::types::Secret;
use crate::value::{Value, join};

/// Gets the password in a file, or says in a few words why it cannot.
pub type ReadSecret<'a> = dyn FnMut(&SecretFile) -> Result<Secret, String> + 'a;

/// Gets the numbers in the file of a list, or says in a few words, with the line, why it cannot.
pub type ReadList<'a> = dyn FnMut(&Path) -> Result<Arc<NumberSet>, String> + 'a;

impl Config {
    /// Reads a configuration; passwords and lists that have files of their own stay unread.
    ///
    /// # Errors
    /// Every problem of the text, in its order.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        Self::parse_from(file_name, text, None)
    }

    /// Reads a configuration and puts in the passwords and lists that have files of their own; `secret` and `list` get one
    /// each, or say in a few words why they cannot. Lists are read last, and only when all else is right: they are large.
    ///
    /// # Errors
    /// Every problem of the text and of the files, in the order of the text.
    pub fn parse_with_files(
        file_name: &str,
        text: &str,
        secret: &mut ReadSecret<'_>,
        list: &mut ReadList<'_>,
    ) -> Result<Self, Vec<Problem>> {
        Self::parse_from(file_name, text, Some((secret, list)))
    }

    fn parse_from(
        file_name: &str,
        text: &str,
        read: Option<(&mut ReadSecret<'_>, &mut ReadList<'_>)>,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::default();
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            // The parser's message names what it expected; its `Display` would print the line as well.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            reader.report(Code::Syntax, span, message, None, false);
        }
        if !errors.is_empty() {
            // What the parser made of a broken text would only lead to problems that are not there.
            return Err(reader.into_problems(file_name, text));
        }
        let span = document.span();
        let root = toml::Spanned::new(span.start..span.start, DeValue::Table(document.into_inner()));
        let mut config = Self::read(&mut reader, &root).unwrap_or_default();
        check::across(&config, &mut reader);
        if let Some((secret, list)) = read {
            for file in config.secret_files() {
                match secret(&file) {
                    Ok(secret) => config.fill_secret(&file.place, secret),
                    Err(why) => {
                        let path = file.place.key_path();
                        let message = format!("{path}: {} cannot be used: {why}", file.path.display());
                        reader.at_value(Code::SecretFile, &path, message, None);
                    }
                }
            }
            let lists = if reader.problem_count() == 0 {
                config.list_files()
            } else {
                Vec::new()
            };
            for (name, path) in lists {
                match list(&path) {
                    Ok(numbers) => config.fill_list(&name, numbers),
                    Err(why) => {
                        let key = join(&join("list", name.as_str()), "file");
                        let message = format!("{key}: {} cannot be used: {why}", path.display());
                        reader.at_value(Code::ListFile, &key, message, None);
                    }
                }
            }
        }
        if reader.problem_count() == 0 {
            Ok(config)
        } else {
            Err(reader.into_problems(file_name, text))
        }
    }
}

//! From text to a whole configuration, or to every problem of the text.
//!
//! Syntax first, then each section, then what must agree between sections. Reads no file: the caller gives the text
//! and, where passwords have files of their own, a way to get them.

use std::path::Path;
use std::sync::Arc;

use smsgw_routing::{NumberSet, PortedNumbers};

use crate::check;
use crate::env::Environment;
use crate::merge;
use crate::problem::{Code, Problem};
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::node::AdminSection;
use crate::secrets::SecretFile;
use crate::sources::{ReadInclude, Source, Sources};
use crate::types::Secret;
use crate::value::{Value, join};

/// Gets the password in a file, or says in a few words why it cannot.
pub type ReadSecret<'a> = dyn FnMut(&SecretFile) -> Result<Secret, String> + 'a;

/// Gets the numbers in the file of a list, or says in a few words, with the line, why it cannot.
pub type ReadList<'a> = dyn FnMut(&Path) -> Result<Arc<NumberSet>, String> + 'a;

/// Gets the ported numbers in a file, or says in a few words, with the line, why it cannot.
pub type ReadPorted<'a> = dyn FnMut(&Path) -> Result<Arc<PortedNumbers>, String> + 'a;

/// Looks whether the files of a listener's TLS can be used, or says which key names the one that cannot, and why in a few
/// words.
pub type CheckCertificates<'a> = dyn FnMut(&AdminSection) -> Result<(), (&'static str, String)> + 'a;

/// What a configuration is read with, beside its text.
#[expect(missing_debug_implementations, reason = "it holds functions only")]
pub struct Inputs<'a> {
    /// Values of `${NAME}`.
    pub environment: &'a Environment<'a>,
    /// The files of a pattern of an `include` list.
    pub include: &'a mut ReadInclude<'a>,
    /// The password in a file.
    pub secret: &'a mut ReadSecret<'a>,
    /// The numbers in the file of a list.
    pub list: &'a mut ReadList<'a>,
    /// The ported numbers in a file.
    pub ported: &'a mut ReadPorted<'a>,
    /// The certificates of the administrator's listener: with wrong ones nobody could ask why nothing answers.
    pub certificates: &'a mut CheckCertificates<'a>,
}

/// Where the files come from that a configuration names.
struct Files<'a, 'b> {
    secret: &'a mut ReadSecret<'b>,
    list: &'a mut ReadList<'b>,
    ported: &'a mut ReadPorted<'b>,
    certificates: &'a mut CheckCertificates<'b>,
}

/// Nobody knows any name.
fn no_environment(_: &str) -> Option<String> {
    None
}

impl Config {
    /// Reads a configuration of one file; passwords, lists and included files stay unread, and no environment is known.
    ///
    /// # Errors
    /// Every problem of the text, in its order.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let sources = Sources::single(file_name, text);
        Self::parse_from(&sources, &no_environment, Reader::default(), None)
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
        let sources = Sources::single(file_name, text);
        // Files of ported numbers and of certificates stay unread.
        let mut ported = |_: &Path| Ok(Arc::default());
        let mut certificates = |_: &AdminSection| Ok(());
        let read = Files {
            secret,
            list,
            ported: &mut ported,
            certificates: &mut certificates,
        };
        Self::parse_from(&sources, &no_environment, Reader::default(), Some(read))
    }

    /// Reads a configuration of any number of files with all that belongs to it: [`Config::parse_with_files`] with
    /// `include` lists followed and `${NAME}` replaced. Gives the files too, whether they are right or not.
    ///
    /// # Errors
    /// Every problem of the files, each with the file it stands in.
    pub fn parse_sources(main: Source, inputs: Inputs<'_>) -> (Sources, Result<Self, Vec<Problem>>) {
        let (sources, faults) = Sources::gather(main, inputs.environment, Some(inputs.include));
        let mut reader = Reader::default();
        for fault in faults {
            reader.report(fault.code, fault.span, fault.message, fault.help, true);
        }
        let read = Some(Files {
            secret: inputs.secret,
            list: inputs.list,
            ported: inputs.ported,
            certificates: inputs.certificates,
        });
        let parsed = Self::parse_from(&sources, inputs.environment, reader, read);
        (sources, parsed)
    }

    fn parse_from(
        sources: &Sources,
        environment: &Environment<'_>,
        mut reader: Reader,
        read: Option<Files<'_, '_>>,
    ) -> Result<Self, Vec<Problem>> {
        let Some(root) = merge::document(sources, environment, &mut reader) else {
            return Err(reader.into_problems(sources));
        };
        let mut config = Self::read(&mut reader, &root).unwrap_or_default();
        check::across(&config, &mut reader);
        if let Some(Files {
            secret,
            list,
            ported,
            certificates,
        }) = read
        {
            if let Err((key, why)) = certificates(&config.admin) {
                let path = join("admin", key);
                let message = format!("{path}: {why}");
                reader.at_value(Code::CertificateFile, &path, message, None);
            }
            for file in config.secret_files() {
                match secret(&file).and_then(|secret| file.place.judge(secret)) {
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
            let files = if reader.problem_count() == 0 {
                config.ported_files()
            } else {
                Vec::new()
            };
            for (place, path) in files.into_iter().enumerate() {
                match ported(&path) {
                    Ok(numbers) => config.fill_ported(place, numbers),
                    Err(why) => {
                        let key = format!("mnp.files[{place}]");
                        let message = format!("{key}: {} cannot be used: {why}", path.display());
                        reader.at_value(Code::ListFile, &key, message, None);
                    }
                }
            }
        }
        if reader.problem_count() == 0 {
            Ok(config)
        } else {
            Err(reader.into_problems(sources))
        }
    }
}

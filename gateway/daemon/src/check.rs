//! `smsgw check FILE`: everything that is wrong with a configuration, at once, with the place.

use crate::exit::Exit;
use smsgw_node_config::{Loaded, RenderStyle, load};
use std::path::Path;

/// Prints problems to standard error and a summary to standard output.
pub(crate) fn check(file: &Path) -> Exit {
    let Some(loaded) = load_or_explain(file) else {
        return Exit::Config;
    };
    let config = &loaded.config;
    println!(
        "{}: ok ({} operators, {} clients, {} routes to phones, {} routes from phones)",
        file.display(),
        config.operator.len(),
        config.client.len(),
        config.route.mt.len(),
        config.route.mo.len()
    );
    Exit::Stopped
}

/// Loads a file, or draws what is wrong with it on standard error.
pub(crate) fn load_or_explain(file: &Path) -> Option<Loaded> {
    match load(file) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            Some(loaded)
        }
        Err(error) => {
            eprint!("{}", error.render(RenderStyle::for_stderr()));
            None
        }
    }
}

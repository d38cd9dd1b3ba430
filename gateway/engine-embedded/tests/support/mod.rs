//! What the tests of this crate share: an engine in a directory that can be crashed by copying it while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests; not every test uses all of it"
)]

pub(crate) mod raw;
pub(crate) mod tenths;

use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine};
use smsgw_message::Clock;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A small engine, so that its budgets are used up by a test.
pub(crate) fn config(dir: &Path) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::new(dir);
    config.min_free_disk = 0;
    config.record_cache = 64 * 1024;
    config.state_cache = 64 * 1024;
    config.log_cache = 16 * 1024;
    config.block_cache = 1024 * 1024;
    config.generation = 1024 * 1024;
    config
}

pub(crate) fn open(dir: &Path, clock: Arc<dyn Clock>) -> Arc<EmbeddedEngine> {
    EmbeddedEngine::open(config(dir), clock).expect("the engine opens")
}

/// What a killed process leaves: every file as the operating system has it now.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let to = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &to);
            continue;
        }
        // Deleted meanwhile: then it did not matter.
        let Ok(octets) = fs::read(item.path()) else {
            continue;
        };
        let end = end(&octets);
        let mut file = fs::File::create(to).unwrap();
        file.write_all(&octets[..end]).unwrap();
        file.set_len(u64::try_from(octets.len()).unwrap()).unwrap();
    }
}

/// Behind the last octet that is not 0: journals end in long holes.
pub(crate) fn end(octets: &[u8]) -> usize {
    let zeros = [0; 4096];
    let pieces: Vec<&[u8]> = octets.chunks(4096).collect();
    let Some(last) = pieces.iter().rposition(|piece| **piece != zeros[..piece.len()]) else {
        return 0;
    };
    last * 4096
        + pieces[last]
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |at| at + 1)
}

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
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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

/// What a killed process leaves: every file as the operating system has it at one moment. An engine that works on while it is
/// copied makes a copy of several moments, with a pointer to a file that was not there yet: that one is thrown away.
pub(crate) fn copy(from: &Path, to: &Path) {
    for _ in 0..1000 {
        let before = files(from);
        fs::create_dir_all(to).unwrap();
        if files_into(from, to) && files(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} is never at rest for as long as a copy takes", from.display());
}

/// Every file and directory below, with its length and when it was written last.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        // What is deleted meanwhile is missing from the next look.
        for item in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(about) = item.metadata() else { continue };
            if about.is_dir() {
                open.push(item.path());
            }
            found.insert(item.path(), (about.len(), about.modified().unwrap()));
        }
    }
    found
}

/// Whether each could be read.
fn files_into(from: &Path, to: &Path) -> bool {
    let items = fs::read_dir(from).into_iter().flatten().flatten();
    fs::create_dir_all(to).unwrap();
    items.into_iter().all(|item| {
        let to = to.join(item.file_name());
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            return files_into(&item.path(), &to);
        }
        let Ok(octets) = fs::read(item.path()) else {
            return false;
        };
        let mut file = fs::File::create(to).unwrap();
        file.write_all(&octets[..end(&octets)]).unwrap();
        file.set_len(u64::try_from(octets.len()).unwrap()).unwrap();
        true
    })
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

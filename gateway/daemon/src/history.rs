//! Where the message history is, by the configuration: for its writer and for those who read it.
//!
//! Opens nothing itself.

use smsgw_config::{Config, HistoryKind};
use smsgw_history::{Place, PostgresPlace, Settings};
use std::path::Path;

/// `[history]`, paths relative to the configuration file; `None` where it is off.
pub(crate) fn settings(config: &Config, file: &Path) -> Option<Settings> {
    let section = &config.history;
    let beside = |path: &Path| file.parent().unwrap_or_else(|| Path::new("")).join(path);
    let place = match section.kind {
        HistoryKind::Sqlite => Place::Sqlite(match &section.dir {
            Some(dir) => beside(dir),
            None => config.node.data_dir.join("history"),
        }),
        HistoryKind::Postgres => Place::Postgres(PostgresPlace {
            // The check of the configuration asks for it.
            url: section.url.as_ref()?.expose().to_owned(),
            ca_file: section.ca_file.as_deref().map(beside),
        }),
        HistoryKind::Off => return None,
    };
    let max_octets = section.max_size.as_u64();
    Some(Settings {
        place,
        days: u16::try_from(section.keep_days).unwrap_or(u16::MAX),
        max_octets: (max_octets > 0).then_some(max_octets),
        mask: section.mask_numbers,
        query_timeout: section.query_timeout,
    })
}

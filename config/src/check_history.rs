//! What must agree in `[history]`.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::history::HistoryKind;

/// PostgreSQL needs to be found. What belongs to the other database may stand there: it waits for a change of the kind.
pub(crate) fn history(config: &Config, reader: &mut Reader) {
    let history = &config.history;
    only_one("history", &["url", "url_file"], reader);
    if history.kind == HistoryKind::Postgres && history.url.is_none() && history.url_file.is_none() {
        let message = "history: kind = \"postgres\" needs url or url_file".to_owned();
        let help = "url = \"postgresql://user:password@host/database?sslmode=require\"".to_owned();
        reader.at_key(Code::MissingKey, "history", message, Some(help));
    }
}

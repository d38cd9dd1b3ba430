//! `[cdr]`: call detail records, a line of a file for each event.
//!
//! Must not know how a line is written.
//! Invariant: files are bounded in size, and go after a time unless it is said that they stay.

use std::path::PathBuf;
use std::time::Duration;

use crate::section::{between, not_empty};
use crate::types::ByteSize;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

words! {
    /// How a line looks.
    CdrFormat {
        /// Values with commas between, quoted as RFC 4180 says.
        Csv = "csv",
        /// One JSON object; columns without a value are left out.
        Json = "json",
    }
}

words! {
    /// What becomes of a file that is full.
    CdrCompression {
        /// It stays as it is.
        None = "none",
        /// It is replaced by its gzip (RFC 1952).
        Gzip = "gzip",
    }
}

words! {
    /// How much of a phone number is written.
    CdrNumbers {
        /// All of it.
        Full = "full",
        /// Its last four digits are replaced by stars.
        Masked = "masked",
    }
}

words! {
    /// A column.
    CdrColumn {
        /// When, in UTC: 2026-11-21 17:38:52.364.
        Time = "time",
        /// What: mt_accepted, mt_sent …
        Event = "event",
        /// Our id of the message.
        Id = "id",
        /// Which part, from 1.
        Part = "part",
        /// How many parts it stands for.
        Parts = "parts",
        /// The client.
        Client = "client",
        /// The operator.
        Operator = "operator",
        /// The link.
        Link = "link",
        /// The route, from 1 as in the file.
        Route = "route",
        /// The sender.
        From = "from",
        /// The recipient.
        To = "to",
        /// The class of service.
        Class = "class",
        /// The client's own name for the message.
        Reference = "reference",
        /// The carrier's id of the part.
        CarrierId = "carrier_id",
        /// The final state.
        State = "state",
        /// Why.
        Error = "error",
        /// Milliseconds since the accept.
        Age = "age_ms",
        /// Milliseconds since a carrier took the last part.
        AfterSent = "after_sent_ms",
        /// The encoding of the parts.
        Encoding = "encoding",
        /// The client's tags, with `;` between.
        Tags = "tags",
        /// The text, where `text` is on.
        Text = "text",
    }
}

/// The columns of a file that says nothing.
const COLUMNS: [CdrColumn; 16] = [
    CdrColumn::Time,
    CdrColumn::Event,
    CdrColumn::Id,
    CdrColumn::Client,
    CdrColumn::Operator,
    CdrColumn::Route,
    CdrColumn::From,
    CdrColumn::To,
    CdrColumn::Reference,
    CdrColumn::CarrierId,
    CdrColumn::Part,
    CdrColumn::Parts,
    CdrColumn::Class,
    CdrColumn::State,
    CdrColumn::Error,
    CdrColumn::Age,
];

section! {
    /// `[cdr]`: call detail records, a line of a file for each event.
    CdrSection {
        /// Whether they are written. Events that pass while they are off have no line. Since 0.1.
        enabled: bool = false, Restart;
        /// Directory of the files, created when absent; a relative path counts from the configuration file; absent: `cdr` in
        /// `data_dir`. Since 0.1.
        dir: Option<PathBuf> = None, Restart;
        /// How a line looks. Since 0.1.
        format: CdrFormat = CdrFormat::Csv, Restart;
        /// What a line says, in this order. Since 0.1.
        columns: Vec<CdrColumn> = COLUMNS.to_vec(), Restart where not_empty();
        /// Whether the first line of a CSV file names the columns. Since 0.1.
        header: bool = false, Restart;
        /// A file that is larger is full. Since 0.1.
        rotate_size: ByteSize = ByteSize::mib(256), Restart where between(ByteSize::kib(64), ByteSize::gib(16));
        /// A file that is older is full; so is that of yesterday. Since 0.1.
        rotate_every: Duration = HOUR, Restart where between(MINUTE, 24 * HOUR);
        /// What becomes of a full file. Since 0.1.
        compress: CdrCompression = CdrCompression::Gzip, Restart;
        /// Days after which the files of a day are deleted; 0: never. Since 0.1.
        keep_days: u32 = 400, Restart where between(0, 36_500);
        /// How much of phone numbers is written; senders that are no numbers stay. Since 0.1.
        numbers: CdrNumbers = CdrNumbers::Full, Restart;
        /// Whether texts are written where their storing is allowed at all. Since 0.1.
        text: bool = false, Restart;
    }
}

//! Fuzz targets: what a hostile peer, a damaged disk or a hasty editor can hand to the parsers.
//!
//! A target takes any octets and panics when a promise is broken. It promises more than "no panic": what was read is written
//! and read again as the same, a session stays within its limits and accounts for every message. `cargo xtask fuzz` runs
//! the targets under libFuzzer for millions of executions; `tests/short.rs` runs them with plain random mutations and replays
//! every input under `regressions/` that ever broke one.
//!
//! Must not hold a parser of its own: a target calls what the gateway ships.

mod config;
mod record;
mod session;
mod smpp;
mod text;
mod ucp;

/// One entry point of untrusted octets.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line and the name of its folder under `regressions/`.
    pub name: &'static str,
    /// What it reads and what it promises.
    pub about: &'static str,
    /// Sound inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Panics when the promise is broken.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "framer",
        about: "a byte stream: the same PDUs however it was cut, and nothing held beyond what was not cut yet",
        seeds: smpp::streams,
        run: smpp::framer,
    },
    Target {
        name: "pdu",
        about: "one PDU: what decodes is encoded and decoded again as the same",
        seeds: smpp::frames,
        run: smpp::pdu,
    },
    Target {
        name: "receipt",
        about: "short_message and TLVs of a receipt: read without panic; a written one is read again as the same",
        seeds: smpp::receipts,
        run: smpp::receipt,
    },
    Target {
        name: "esme",
        about: "a carrier talking to our ESME session: limits kept, every submit ends once, only sound PDUs sent",
        seeds: smpp::streams,
        run: session::esme,
    },
    Target {
        name: "smsc",
        about: "a client talking to our SMSC session: limits kept, every delivery ends once, only sound PDUs sent",
        seeds: smpp::streams,
        run: session::smsc,
    },
    Target {
        name: "ucp",
        about: "a stream of UCP frames: the same however it was cut; what reads is written and read again as the same",
        seeds: ucp::streams,
        run: ucp::frames,
    },
    Target {
        name: "centre",
        about: "a UCP centre talking to our session: limits kept, every operation ends once, only sound frames sent",
        seeds: ucp::streams,
        run: ucp::session,
    },
    Target {
        name: "udh",
        about: "a user data header: every element is kept and written again, the body is untouched",
        seeds: text::headers,
        run: text::udh,
    },
    Target {
        name: "text",
        about: "data coding and octets of an MO, text of an MT: split by every carriage and joined as the same",
        seeds: text::texts,
        run: text::text,
    },
    Target {
        name: "time",
        about: "times of SMPP and UCP: what is read is written and read again as the same",
        seeds: text::times,
        run: text::time,
    },
    Target {
        name: "record",
        about: "a stored record of any kind: what decodes is written and read again as the same",
        seeds: record::seeds,
        run: record::run,
    },
    Target {
        name: "toml",
        about: "a configuration file: problems lie inside the text, a good file differs from itself in nothing",
        seeds: config::seeds,
        run: config::run,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

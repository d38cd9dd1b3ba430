//! Scenarios of the real binary against peers that are not ours. One file a scenario, named after the law it shows.
//!
//! Each test starts its own gateway on free ports in a directory of its own and waits for events, never for time to
//! pass. The peers come from `cargo xtask test --only install`; a missing one fails the test, it is never skipped.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod harness;

mod api_errors;
mod callback_targets;
mod carrier_answers;
mod chaos;
mod exit_codes;
mod first_message;
mod interop;
mod kill;
mod long_text;
mod malformed_pdu;
mod mobile_originated;
mod operators;
mod rate;
mod receipts;
mod reload;
mod startup;
mod status;
mod stop;
mod trace;
mod wire;

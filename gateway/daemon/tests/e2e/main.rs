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

mod admin_tls;
mod api_errors;
mod apply;
mod batches;
mod callback_targets;
mod callbacks;
mod calls_tls;
mod carrier_answers;
mod chaos;
mod cli;
mod counters;
mod credit;
mod dead_letters;
mod exit_codes;
mod explain;
mod fairness;
mod first_message;
mod history;
mod hostile;
mod http_carrier;
mod interop;
mod kannel;
mod kannel_ucp;
mod kill;
mod later;
mod long_text;
mod malformed_pdu;
mod mixed;
mod mo_routing;
mod mobile_originated;
mod moves;
mod openapi;
mod operators;
mod outbind;
mod quirks;
mod rate;
mod receipts;
mod reload;
mod smpp_cancel;
mod smpp_clients;
mod smpp_kill;
mod smpp_replace;
mod startup;
mod status;
mod stop;
mod trace;
mod ucp;
mod ucp_called;
mod wire;

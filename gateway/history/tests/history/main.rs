//! History on both databases: the same questions, the same answers; rows read back by `sqlite3` and `psql`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod cuts;
mod days;
mod figures;
mod life;
mod make;
mod search;
mod versions;

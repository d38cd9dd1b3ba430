//! Who has a phone wants no messages: state under `optout/…`, see [`names::opted_out_of_client`](crate::names::opted_out_of_client).
//!
//! That the key is there is what counts; the record says since when and until when. Invariant: a message is refused by the
//! key alone, so that a record nobody can read keeps its phone in peace.

use crate::Timestamp;
use crate::record::Record;
use minicbor::{Decode, Encode};

/// One entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct OptOut {
    /// When it was first heard of.
    #[n(0)]
    pub since: Timestamp,
    /// When it ends by itself; absent: when it is taken back.
    #[n(1)]
    pub until: Option<Timestamp>,
}

impl Record for OptOut {
    const KIND: u8 = 13;
    const VERSION: u8 = 1;
}

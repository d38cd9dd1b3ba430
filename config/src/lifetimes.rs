//! How long what is known of a message is kept: for the nodes that write it, so that all of them say the same.

use crate::LimitsSection;
use smsgw_message::{MtMessage, Timestamp};

impl LimitsSection {
    /// When receipts for a message are no longer waited for.
    pub fn given_up_at(&self, message: &MtMessage) -> Timestamp {
        message.valid_until.after(self.receipt_grace)
    }

    /// How long a carrier's id is known that it gives to a part now. Late answers, too, may have receipts to come.
    pub fn id_known_until(&self, message: &MtMessage, now: Timestamp) -> Timestamp {
        self.given_up_at(message).max(now.after(self.receipt_grace))
    }

    /// How long the record of a message is kept that ends now.
    pub fn record_kept_until(&self, now: Timestamp) -> Timestamp {
        now.after(self.message_retention)
    }
}

//! Bits of esm_class (SMPP 3.4 §5.2.12).
//!
//! Only bits 2 to 5 tell what a message is; carriers set the others on receipts too.

/// The short message begins with a user data header.
pub const UDHI: u8 = 0x40;
/// Reply path.
pub const REPLY_PATH: u8 = 0x80;
/// Bits 2 to 5: the type of the message.
pub const TYPE: u8 = 0x3C;
/// Type: a delivery receipt.
pub const RECEIPT: u8 = 0x04;
/// Type: an intermediate notification.
pub const INTERMEDIATE: u8 = 0x20;

/// Whether the message carries a receipt or an intermediate notification.
#[must_use]
pub const fn is_receipt(esm_class: u8) -> bool {
    matches!(esm_class & TYPE, RECEIPT | INTERMEDIATE)
}

/// Whether the message begins with a user data header.
#[must_use]
pub const fn has_udh(esm_class: u8) -> bool {
    esm_class & UDHI != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bits_2_to_5_make_a_receipt() {
        for (esm_class, receipt) in [
            (0x00, false),
            (0x04, true),
            (0x44, true),
            (0x07, true),
            (0xC4, true),
            (0x20, true),
            (0x40, false),
            (0x08, false),
            (0x10, false),
            (0x03, false),
        ] {
            assert_eq!(is_receipt(esm_class), receipt, "{esm_class:#04x}");
        }
    }
}

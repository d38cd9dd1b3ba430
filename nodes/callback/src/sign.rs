//! Signatures of requests by the Standard Webhooks convention: `v1,` and the Base64 of HMAC-SHA256 over
//! `<id>.<timestamp>.<body>`, one for each live key, separated by spaces.
//!
//! Pure. Invariant: what is signed is what is sent: the same id, the same seconds, the same octets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`; empty without keys.
pub(crate) fn signatures(keys: &[Vec<u8>], id: &str, seconds: i64, body: &[u8]) -> String {
    let sign = |key: &Vec<u8>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    };
    keys.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -hmac` over the same octets.
    #[test]
    fn each_key_signs_id_time_and_body() {
        let keys = vec![b"0123456789abcdef01234567".to_vec(), vec![0xA5; 32]];
        let both = signatures(&keys, "msg_1", 1_700_000_000, b"{\"a\":1}");
        let each: Vec<&str> = both.split(' ').collect();
        assert_eq!(each.len(), 2);
        assert_eq!(each[0], "v1,WUgAXU8H0NQ1/7M+TtMwKma2b74a3/TCgekiM3YUdN8=");
        assert_eq!(each[1], "v1,+cYM7F867yoelu8rzNNKCljOSD5teFoCLr7dCFktZm0=");
        assert_eq!(signatures(&[], "msg_1", 1, b""), "");
    }
}

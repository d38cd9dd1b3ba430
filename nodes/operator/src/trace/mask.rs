//! Takes the secrets out of a PDU: the password of a bind (SMPP 3.4 section 4.1) and of an outbind becomes `*` of the same
//! length, so that every offset stays what it was.
//!
//! Works on octets, not on a decoded PDU: what is broken must not show its password either. Invariant MK-1: where the
//! fields cannot be told apart, everything from the password on is masked.

/// command_id of the operations that carry a password; system_id stands before it in each of them.
const WITH_PASSWORD: [u32; 4] = [0x01, 0x02, 0x09, 0x0B];
/// Octets of a PDU header.
const HEADER: usize = 16;

/// Whether a PDU may hold a password.
pub(crate) fn has_secret(pdu: &[u8]) -> bool {
    let id = pdu.get(4..8).and_then(|octets| octets.first_chunk::<4>());
    id.is_some_and(|id| WITH_PASSWORD.contains(&u32::from_be_bytes(*id)))
}

/// Masks the password, if the PDU has one.
pub(crate) fn mask(pdu: &mut [u8]) {
    if !has_secret(pdu) {
        return;
    }
    let Some(body) = pdu.get_mut(HEADER..) else { return };
    // Without the end of system_id nobody knows where the password begins.
    let name = body.iter().position(|octet| *octet == 0);
    let from = name.map_or(0, |end| end.saturating_add(1));
    for octet in body.iter_mut().skip(from).take_while(|octet| **octet != 0) {
        *octet = b'*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(id: u8, body: &[u8]) -> Vec<u8> {
        let mut pdu = vec![0, 0, 0, 16 + u8::try_from(body.len()).unwrap(), 0, 0, 0, id];
        pdu.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        pdu.extend(body);
        pdu
    }

    fn masked(id: u8, body: &[u8]) -> Vec<u8> {
        let mut pdu = pdu(id, body);
        mask(&mut pdu);
        pdu[16..].to_vec()
    }

    #[test]
    fn passwords_become_stars_of_the_same_length_and_nothing_else_changes() {
        for id in [1, 2, 9] {
            assert_eq!(
                masked(id, b"test\0geheim\0SYS\0\x34\x01\x01\0"),
                b"test\0******\0SYS\0\x34\x01\x01\0"
            );
        }
        assert_eq!(masked(0x0B, b"smsc\0geheim\0"), b"smsc\0******\0");
        assert_eq!(masked(9, b"\0geheim\0"), b"\0******\0");
        assert_eq!(masked(4, b"test\0geheim\0"), b"test\0geheim\0");
    }

    #[test]
    fn a_broken_bind_does_not_show_its_password_either() {
        assert_eq!(masked(9, b"test\0gehe"), b"test\0****");
        assert_eq!(masked(9, b"testgeheim"), b"**********");
        assert_eq!(masked(9, b""), b"");
        let mut short = vec![0, 0, 0, 16, 0, 0, 0];
        mask(&mut short);
        assert_eq!(short, [0, 0, 0, 16, 0, 0, 0]);
    }
}

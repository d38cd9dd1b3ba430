//! Takes the secrets out of a PDU: the password of a bind (SMPP 3.4 section 4.1) and of an outbind becomes `*` of the same
//! length, so that every offset stays what it was; PWD and NPWD of operations 60 and 61 (EMI-UCP 4.0 section 6) too, as the digits
//! of such stars, and the sum of a frame that was right is right again.
//!
//! Works on octets, not on a decoded PDU: what is broken must not show its password either. Invariant MK-1: where the
//! fields cannot be told apart, everything from the password on is masked.

use super::Wire;

/// command_id of the operations that carry a password; system_id stands before it in each of them.
const WITH_PASSWORD: [u32; 4] = [0x01, 0x02, 0x09, 0x0B];
/// Octets of a PDU header.
const HEADER: usize = 16;

/// Octets of a UCP header with STX and its last slash.
pub(super) const FRAME_HEAD: usize = 15;
/// Where STYP stands among the fields of a frame, the header's counted; PWD and NPWD follow.
const STYP: usize = 7;
/// Fields of operations 60 and 61, with the header's four and the sum.
const FIELDS: usize = 17;

/// Whether a PDU may hold a password.
pub(crate) fn has_secret(wire: Wire, pdu: &[u8]) -> bool {
    match wire {
        Wire::Smpp => pdu_has_secret(pdu),
        Wire::Ucp => pdu.len() > FRAME_HEAD && !is_known_without(pdu),
    }
}

/// Masks the password, if the PDU has one.
pub(crate) fn mask(wire: Wire, pdu: &mut [u8]) {
    match wire {
        Wire::Smpp => mask_pdu(pdu),
        Wire::Ucp if has_secret(wire, pdu) => mask_frame(pdu),
        Wire::Ucp => {}
    }
}

/// Whether the header of a frame can be read, and is that of something without a password.
fn is_known_without(frame: &[u8]) -> bool {
    let Some(&[stx, _, _, b'/', _, _, _, _, _, b'/', kind, b'/', tens, ones, b'/']) =
        frame.first_chunk::<FRAME_HEAD>()
    else {
        return false;
    };
    let is_operation_60 = kind != b'R' && tens == b'6';
    stx == 2 && tens.is_ascii_digit() && ones.is_ascii_digit() && !is_operation_60
}

fn mask_frame(frame: &mut [u8]) {
    let last = frame
        .iter()
        .rposition(|octet| *octet == b'/')
        .map_or(0, |at| at.saturating_add(1));
    let was_right = frame.get(last..last.saturating_add(2)) == Some(&sum(frame, last));
    // What is longer than a sum and ETX is none.
    let end = if frame.len().saturating_sub(last) <= 3 {
        last
    } else {
        frame.len()
    };
    let has_head = is_head(frame);
    let is_whole = has_head && frame.split(|octet| *octet == b'/').count() == FIELDS;
    let (mut field, mut digit) = (0_usize, 0_usize);
    for (at, octet) in frame.iter_mut().enumerate().take(end) {
        if *octet == b'/' {
            (field, digit) = (field.saturating_add(1), 0);
            continue;
        }
        // Without all fields nobody knows which is the password.
        let is_hidden = match (is_whole, has_head) {
            (true, _) => field == STYP + 1 || field == STYP + 2,
            (false, true) => field >= STYP,
            (false, false) => at >= FRAME_HEAD,
        };
        if is_hidden {
            *octet = if digit.is_multiple_of(2) { b'2' } else { b'A' };
        }
        digit = digit.saturating_add(1);
    }
    if was_right {
        let sum = sum(frame, last);
        if let Some(place) = frame.get_mut(last..last.saturating_add(2)) {
            place.copy_from_slice(&sum);
        }
    }
}

/// Whether a frame begins with a header.
fn is_head(frame: &[u8]) -> bool {
    matches!(
        frame.first_chunk::<FRAME_HEAD>(),
        Some([2, _, _, b'/', _, _, _, _, _, b'/', _, b'/', _, _, b'/'])
    )
}

/// The checksum of a frame whose checksum stands at `at`.
fn sum(frame: &[u8], at: usize) -> [u8; 2] {
    let summed = frame.get(1..at).unwrap_or_default();
    let sum = summed.iter().fold(0_u8, |sum, octet| sum.wrapping_add(*octet));
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'A' + (nibble - 10)
        }
    };
    [digit(sum >> 4), digit(sum & 0x0F)]
}

fn pdu_has_secret(pdu: &[u8]) -> bool {
    let id = pdu.get(4..8).and_then(|octets| octets.first_chunk::<4>());
    id.is_some_and(|id| WITH_PASSWORD.contains(&u32::from_be_bytes(*id)))
}

fn mask_pdu(pdu: &mut [u8]) {
    if !pdu_has_secret(pdu) {
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
        mask(Wire::Smpp, &mut pdu);
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
        mask(Wire::Smpp, &mut short);
        assert_eq!(short, [0, 0, 0, 16, 0, 0, 0]);
    }

    fn frame(text: &str) -> Vec<u8> {
        let body = format!("{text}/");
        let sum = body.bytes().fold(0_u8, |sum, octet| sum.wrapping_add(octet));
        format!("\u{2}{body}{sum:02X}\u{3}").into_bytes()
    }

    fn masked_frame(octets: &[u8]) -> String {
        let mut octets = octets.to_vec();
        mask(Wire::Ucp, &mut octets);
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn passwords_of_a_login_become_the_digits_of_stars_and_the_sum_is_right() {
        let login = frame("00/00066/O/60/12345/6/5/1/67656865696D/6E6575/0100/////");
        let expected = frame("00/00066/O/60/12345/6/5/1/2A2A2A2A2A2A/2A2A2A/0100/////");
        assert_eq!(masked_frame(&login).as_bytes(), expected);
        let wrong_sum = [&login[..login.len() - 2], b"0\x03"].concat();
        let shown = masked_frame(&wrong_sum);
        assert!(
            shown.contains("/2A2A2A2A2A2A/2A2A2A/") && shown.ends_with("0\u{3}"),
            "{shown}"
        );
        for plain in [
            frame("00/00070/O/01/01234567890/09876543210//3/53686F7274204D657373616765"),
            frame("00/00019/R/60/A/"),
        ] {
            assert!(!has_secret(Wire::Ucp, &plain));
            assert_eq!(masked_frame(&plain).as_bytes(), plain);
        }
    }

    #[test]
    fn a_broken_login_does_not_show_its_password_either() {
        for broken in [
            "\u{2}00/00066/O/60/12345/6/5/67656865696D/0100/////AB\u{3}",
            "\u{2}00/00066/O/60/12345/6/5/1/67656865696D\u{3}",
            "\u{2}0/00066/O/60/12345/6/5/1/67656865696D//0100//////AB\u{3}",
            "00/00066/O/60/12345/6/5/1/67656865696D//0100//////AB",
            "\u{2}00/00066/X/60/12345/6/5/1/67656865696D//0100//////AB\u{3}",
        ] {
            let shown = masked_frame(broken.as_bytes());
            assert!(!shown.contains("6765") && shown.len() == broken.len(), "{shown}");
        }
    }
}

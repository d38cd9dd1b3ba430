//! Reads the fields of a PDU one after the other and notes what it tolerates.
//!
//! Knows fields, not operations (`bodies`). Invariant: `rest` only shrinks.

use super::{DecodeError, limit};
use crate::{
    address::Address,
    message_id,
    octets::COctets,
    pdu::Body,
    tlv::{self, Tlvs},
    tolerated::{Tolerated, ToleratedSet},
    version::Version,
};
use bytes::Bytes;
use rusmpp_core::CommandId;

pub(super) struct Fields<'a> {
    pub(super) rest: &'a [u8],
    pub(super) version: Version,
    command: CommandId,
    quirks: ToleratedSet,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(version: Version, command: CommandId, body: &'a [u8]) -> Self {
        Self {
            rest: body,
            version,
            command,
            quirks: ToleratedSet::NONE,
        }
    }

    pub(super) const fn quirks(&self) -> ToleratedSet {
        self.quirks
    }

    pub(super) const fn note(&mut self, quirk: Tolerated) {
        self.quirks.insert(quirk);
    }

    /// A C-octet string of at most `limit` octets with its NUL. The NUL decides, not the limit, and the frame is the bound.
    pub(super) fn string(&mut self, limit: usize) -> COctets {
        if self.rest.is_empty() {
            self.note(Tolerated::MissingString);
            return COctets::new();
        }
        let octets = COctets::until_nul(self.rest);
        let len = octets.len();
        if len == self.rest.len() {
            self.note(Tolerated::UnterminatedString);
        }
        if len >= limit {
            self.note(Tolerated::OverlongString);
        }
        self.rest = self.rest.get(len.saturating_add(1)..).unwrap_or(&[]);
        octets
    }

    /// A time: empty or sixteen characters (SMPP 3.4 §7.1). Whatever else stands there is left to whoever reads it.
    pub(super) fn time(&mut self) -> COctets {
        let time = self.string(limit::TIME);
        if !time.is_empty() && time.len() < limit::TIME.saturating_sub(1) {
            self.note(Tolerated::TimeForm);
        }
        time
    }

    /// message_id of an answer. One that nobody can keep counts as none: the answer itself must not be lost.
    pub(super) fn given_id(&mut self) -> COctets {
        let id = self.string(self.version.message_id_max().saturating_add(1));
        if id.len() > message_id::MAX {
            self.note(Tolerated::MessageIdRefused);
            return COctets::new();
        }
        id
    }

    /// message_id of a request.
    pub(super) fn asked_id(&mut self) -> Result<COctets, DecodeError> {
        let id = self.string(self.version.message_id_max().saturating_add(1));
        if id.len() > message_id::MAX {
            return Err(DecodeError::MessageIdTooLong(id.len()));
        }
        Ok(id)
    }

    pub(super) fn octet(&mut self, name: &'static str) -> Result<u8, DecodeError> {
        let (octet, rest) = self.rest.split_first().ok_or(DecodeError::MissingField(name))?;
        self.rest = rest;
        Ok(*octet)
    }

    /// An octet of an answer: its absence is noted, because an answer must decode.
    pub(super) fn octet_or_zero(&mut self) -> u8 {
        let Some((octet, rest)) = self.rest.split_first() else {
            self.note(Tolerated::MissingBody);
            return 0;
        };
        self.rest = rest;
        *octet
    }

    pub(super) fn address(&mut self, limit: usize, name: &'static str) -> Result<Address, DecodeError> {
        Ok(Address {
            ton: self.octet(name)?,
            npi: self.octet(name)?,
            value: self.string(limit),
        })
    }

    pub(super) fn bodyless(&mut self, body: Body) -> Body {
        if !self.rest.is_empty() {
            self.note(Tolerated::UnexpectedBody);
            self.rest = &[];
        }
        body
    }

    /// The body of an answer that has no fields, and TLVs from 5.0 on. What is no TLV does not belong there.
    pub(super) fn tlvs_only(&mut self) -> Tlvs {
        let area = self.rest;
        if area.is_empty() {
            return Tlvs::new();
        }
        self.rest = &[];
        let (tlvs, left) = Tlvs::parse(area);
        if left != 0 || tlvs.iter().any(|tlv| tlv.tag == 0) {
            self.note(Tolerated::UnexpectedBody);
            return Tlvs::new();
        }
        self.check(&tlvs);
        tlvs
    }

    pub(super) fn all(&mut self) -> Bytes {
        Bytes::copy_from_slice(std::mem::take(&mut self.rest))
    }

    /// All that is left, as TLVs. NULs before or after them, and a broken tail, are dropped.
    pub(super) fn tlvs(&mut self) -> Tlvs {
        if self.rest.is_empty() {
            return Tlvs::new();
        }
        let tlvs = self.cut_tlvs();
        self.check(&tlvs);
        tlvs
    }

    fn cut_tlvs(&mut self) -> Tlvs {
        let area = std::mem::take(&mut self.rest);
        let (tlvs, left) = Tlvs::parse(area);
        if left == 0 && !(tlvs.iter().all(|tlv| tlv.tag == 0 && tlv.value.is_empty())) {
            return tlvs;
        }
        if area.iter().all(|octet| *octet == 0) {
            self.note(Tolerated::TrailingNul);
            return Tlvs::new();
        }
        // A NUL after short_message shifts every TLV by one.
        if let Some((0, shifted)) = area.split_first() {
            let (found, left) = Tlvs::parse(shifted);
            if left == 0 && found.get(0).is_none() {
                self.note(Tolerated::TrailingNul);
                return found;
            }
        }
        let tail = area.get(area.len().saturating_sub(left)..).unwrap_or(&[]);
        let nuls = tail.iter().all(|octet| *octet == 0);
        self.note(if nuls {
            Tolerated::TrailingNul
        } else {
            Tolerated::TruncatedTlv
        });
        tlvs
    }

    /// Notes what is wrong with known TLVs; all stay as they are.
    fn check(&mut self, tlvs: &Tlvs) {
        if !tlvs.is_empty() {
            self.quirks.extend(tlv::check(tlvs, self.command, self.version));
        }
    }

    /// After a PDU without TLVs of its own.
    pub(super) fn end(&mut self) {
        if self.rest.is_empty() {
            return;
        }
        let nuls = self.rest.iter().all(|octet| *octet == 0);
        self.note(if nuls {
            Tolerated::TrailingNul
        } else {
            Tolerated::UnexpectedBody
        });
    }
}

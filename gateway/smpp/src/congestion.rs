//! congestion_state: how busy the SMSC says it is (SMPP 5.0 §4.8.4.18), in any answer.
//!
//! Invariant: the octet of the wire is kept, whatever it is.

use crate::{
    pdu::Body,
    tlv::{Tlvs, tag},
};
use std::fmt;

/// 0 idle, to 29 low load, to 49 medium, to 79 high, to 89 optimum, to 99 near congestion, 100 congested. What is above
/// is reserved and counts as congested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Congestion(u8);

impl Congestion {
    /// From the octet of the wire.
    #[must_use]
    pub const fn new(octet: u8) -> Self {
        Self(octet)
    }

    /// 0 to 100: how much of what it can do the SMSC is doing.
    #[must_use]
    pub const fn percent(self) -> u8 {
        if self.0 > 100 { 100 } else { self.0 }
    }

    /// The octet of the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        self.0
    }

    /// What the answer says, if anything. A value of another length than one octet says nothing.
    #[must_use]
    pub fn of(tlvs: &Tlvs) -> Option<Self> {
        match tlvs.get(tag::CONGESTION_STATE)? {
            [octet] => Some(Self(*octet)),
            _ => None,
        }
    }

    /// Adds it to an answer that has room for TLVs and does not say it yet.
    pub(crate) fn tell(self, answer: &mut Body) {
        let tlvs = match answer {
            Body::SubmitSmResp(resp)
            | Body::DeliverSmResp(resp)
            | Body::DataSmResp(resp)
            | Body::BroadcastSmResp(resp)
            | Body::QueryBroadcastSmResp(resp) => &mut resp.tlvs,
            Body::SubmitMultiResp(resp) => &mut resp.tlvs,
            Body::QuerySmResp(resp) => &mut resp.tlvs,
            Body::EnquireLinkResp(tlvs)
            | Body::CancelSmResp(tlvs)
            | Body::ReplaceSmResp(tlvs)
            | Body::CancelBroadcastSmResp(tlvs) => tlvs,
            _ => return,
        };
        if tlvs.get(tag::CONGESTION_STATE).is_none() {
            tlvs.push(tag::CONGESTION_STATE, &[self.0])
                .expect("one octet fits a TLV");
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_octet_says_it_and_reserved_values_count_as_congested() {
        for (value, told) in [
            (&[0][..], Some(0)),
            (&[55], Some(55)),
            (&[100], Some(100)),
            (&[255], Some(100)),
            (&[], None),
            (&[1, 2], None),
        ] {
            let mut tlvs = Tlvs::new();
            tlvs.push(tag::CONGESTION_STATE, value).expect("short");
            assert_eq!(Congestion::of(&tlvs).map(Congestion::percent), told, "{value:?}");
        }
        let mut answer = Body::EnquireLinkResp(Tlvs::new());
        Congestion::new(7).tell(&mut answer);
        Congestion::new(8).tell(&mut answer);
        let Body::EnquireLinkResp(tlvs) = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!(Congestion::of(tlvs), Some(Congestion::new(7)), "said once");
        let mut answer = Body::UnbindResp;
        Congestion::new(7).tell(&mut answer);
        assert_eq!(answer, Body::UnbindResp);
    }
}

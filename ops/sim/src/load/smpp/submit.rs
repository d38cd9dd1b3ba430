//! One submit of a bind: a message, or the parts of one, as octets.
//!
//! Knows no socket. Invariant: whatever is written waits for its answer.

use super::super::mix::Ready;
use super::super::options::LongForm;
use super::Job;
use super::bind::{Bind, Progress, Waiting};
use crate::smsc::wire::{id, pdu, put_address, put_string, put_tlv, tag};
use bytes::BufMut;
use std::time::Instant;

impl Bind {
    pub(super) fn submit(&mut self, job: &Job, number: u64, due: Option<Instant>, now: Instant) {
        let number = u32::try_from(number % (1 << 32)).unwrap_or(0);
        let Some(item) = job.mix.item(number) else { return };
        self.tally.sent = self.tally.sent.saturating_add(1);
        job.progress.sent.add();
        self.to.clear();
        job.mix.write_to(number, &mut self.to);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        item.write(Self::token(job, number), &mut text);
        let (one, each) = item.capacity();
        let whole = text.len() <= one || job.load.long == LongForm::Payload;
        let pieces: Vec<&[u8]> = if whole {
            Vec::new()
        } else {
            text.chunks(each).collect()
        };
        let parts = u16::try_from(pieces.len().max(1)).unwrap_or(u16::MAX);
        let waiting = Waiting {
            number,
            parts,
            sent: now,
            due,
        };
        if whole {
            self.write_submit(item, &text, None, number, waiting);
        } else {
            let left = Progress {
                left: parts,
                ..Progress::default()
            };
            self.progress.insert(number, left);
            for (piece, at) in pieces.iter().zip(1_u16..) {
                self.write_submit(item, piece, Some(at), number, waiting);
            }
        }
        self.scratch = text;
    }

    fn write_submit(&mut self, item: &Ready, piece: &[u8], part: Option<u16>, number: u32, waiting: Waiting) {
        let sequence = self.number();
        let load = &self.load;
        let [_, total] = waiting.parts.to_be_bytes();
        let at = part.map(|part| part.to_be_bytes()[1]);
        let reference = number.to_be_bytes()[3];
        let udh = at.filter(|_| load.long == LongForm::Udh);
        let header = udh.map_or([0; 6], |at| [5, 0, 3, reference, total, at]);
        let header = if udh.is_some() { &header[..] } else { &[] };
        let in_payload = header.len().saturating_add(piece.len()) > 254;
        let to = &self.to;
        pdu(&mut self.out, id::SUBMIT_SM, 0, sequence, |out| {
            put_string(out, b"");
            let letters = load.from.bytes().any(|octet| octet.is_ascii_alphabetic());
            put_address(out, if letters { 5 } else { 3 }, 0, load.from.as_bytes());
            put_address(out, 1, 1, to);
            out.put_slice(&[if udh.is_some() { 0x40 } else { 0 }, 0, 0, 0, 0]);
            out.put_slice(&[load.registered_delivery, 0, item.data_coding(), 0]);
            if in_payload {
                out.put_u8(0);
                put_tlv(out, tag::MESSAGE_PAYLOAD, piece);
            } else {
                out.put_u8(u8::try_from(header.len().saturating_add(piece.len())).unwrap_or(0));
                out.put_slice(header);
                out.put_slice(piece);
            }
            if let Some(at) = at.filter(|_| udh.is_none()) {
                put_tlv(out, tag::SAR_MSG_REF_NUM, &[0, reference]);
                put_tlv(out, tag::SAR_TOTAL_SEGMENTS, &[total]);
                put_tlv(out, tag::SAR_SEGMENT_SEQNUM, &[at]);
            }
        });
        self.waiting.insert(sequence, waiting);
        self.order.push_back((waiting.sent, sequence));
    }
}

//! What the client asked of the carrier beside content and addresses, as far as the operator passes it on.
//!
//! | asked | goes when | else |
//! |---|---|---|
//! | priority, protocol_id, service_type | it is in `pass_options` | the operator's own |
//! | replace_if_present | it is in `pass_options`, and this is no part of a long message | not set |
//! | data_coding | it is in `pass_options`, and the octets go as the client wrote them | that of the encoding |
//! | a TLV | its tag is in `tlvs_allowed`, and the gateway does not write it itself | the operator's constant, or none |
//!
//! Pure. Invariant OP-1: what was asked for and does not go is in `left_out`; it is never dropped without a word.

use super::Unsendable;
use super::body::Body;
use smsgw_config::{ClientOption, Operator};
use smsgw_message::udh::Udh;
use smsgw_message::{CarrierOptions, Class, Dispatch};
use smsgw_smpp::{COctets, tlv};

/// What a TLV that does not go is counted as.
const TLV: &str = "tlv";
/// Highest priority_flag of any network (SMPP 5.0 section 4.7.19).
const PRIORITY: u8 = 4;

/// The fields that an operator or a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) priority: u8,
    pub(super) protocol_id: u8,
    pub(super) service_type: COctets,
    pub(super) replace_if_present: bool,
    pub(super) data_coding: u8,
    /// The client's in their order, then the operator's constants.
    pub(super) tlvs: Vec<(u16, Vec<u8>)>,
    /// What was asked for and does not go, by word.
    pub(super) left_out: Vec<&'static str>,
}

/// The options of this part, whose body is written already.
pub(super) fn of(
    dispatch: &Dispatch,
    class: Class,
    operator: &Operator,
    body: &Body,
) -> Result<Options, Unsendable> {
    let nothing = CarrierOptions::default();
    let asked = dispatch.options.as_ref().unwrap_or(&nothing);
    let mut left_out = Vec::new();
    let mut passes = |option: ClientOption, fits: bool| {
        let goes = fits && operator.pass_options.contains(&option);
        if !goes {
            left_out.push(option.as_str());
        }
        goes
    };
    let priority = asked
        .priority
        .filter(|priority| passes(ClientOption::Priority, *priority <= PRIORITY));
    let protocol_id = asked
        .protocol_id
        .filter(|_| passes(ClientOption::ProtocolId, true));
    let service_type = asked
        .service_type
        .as_deref()
        .filter(|_| passes(ClientOption::ServiceType, true));
    // One part would take the place of the other: they have the same addresses and service type (SMPP 3.4 section 5.2.18).
    let replace = asked
        .replace_if_present
        .filter(|wanted| !*wanted || passes(ClientOption::ReplaceIfPresent, !is_part(dispatch)));
    // Beside octets that were written anew it would say something else than they are.
    let data_coding = asked.data_coding.filter(|asked| {
        *asked == body.data_coding
            || passes(
                ClientOption::DataCoding,
                body.octets == *dispatch.content.data.as_slice(),
            )
    });
    let service_type = service_type.unwrap_or(operator.service_type.as_str());
    Ok(Options {
        priority: priority.unwrap_or_else(|| operator.priority.of(class)),
        protocol_id: protocol_id.unwrap_or(operator.protocol_id),
        service_type: COctets::try_from(service_type).map_err(|_| Unsendable::ServiceType)?,
        replace_if_present: replace.unwrap_or(false),
        data_coding: data_coding.unwrap_or(body.data_coding),
        tlvs: tlvs(asked, operator, body, &mut left_out)?,
        left_out,
    })
}

/// Whether it is one part of several, whoever cut them.
fn is_part(dispatch: &Dispatch) -> bool {
    let is_joined =
        |udh: &[u8]| !udh.is_empty() && Udh::parse(udh).is_ok_and(|(header, _)| header.concat.is_some());
    dispatch.parts > 1 || dispatch.bundle.is_some() || is_joined(&dispatch.content.udh)
}

/// The TLVs that go: what the client may set, then the constants that it has not set.
fn tlvs(
    asked: &CarrierOptions,
    operator: &Operator,
    body: &Body,
    left_out: &mut Vec<&'static str>,
) -> Result<Vec<(u16, Vec<u8>)>, Unsendable> {
    let mut tlvs: Vec<(u16, Vec<u8>)> = Vec::new();
    for tlv in asked.tlvs.iter().flatten() {
        let allowed = operator.tlvs_allowed.iter().any(|range| range.contains(tlv.tag));
        // The message class stands there already.
        let taken = body.subunit.is_some() && tlv.tag == tlv::tag::DEST_ADDR_SUBUNIT;
        if allowed && !taken {
            tlvs.push((tlv.tag, tlv.value.to_vec()));
        } else {
            left_out.push(TLV);
        }
    }
    for (tag, value) in &operator.tlvs {
        if tlvs.iter().all(|(set, _)| *set != tag.tag()) {
            tlvs.push((tag.tag(), value.octets().to_vec()));
        }
    }
    let is_there = |required: u16| tlvs.iter().any(|(tag, _)| *tag == required);
    match operator
        .tlvs_required
        .iter()
        .find(|required| !is_there(required.tag()))
    {
        Some(_) => Err(Unsendable::RequiredTlv),
        None => Ok(tlvs),
    }
}

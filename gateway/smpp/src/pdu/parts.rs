//! What many operations have in common, found in whichever body there is: TLVs, message_id, short_message.
//!
//! Invariant: a body without such a field says `None`, also when the field would be empty elsewhere.

use super::Body;
use crate::{octets::COctets, tlv::Tlvs};
use bytes::Bytes;

/// The same match for shared and for exclusive access.
macro_rules! parts {
    ($(#[$tlvs_doc:meta])* $tlvs_vis:vis $tlvs:ident, $(#[$text_doc:meta])* $text_vis:vis $text:ident, $($mutable:tt)?) => {
        impl Body {
            $(#[$tlvs_doc])*
            $tlvs_vis const fn $tlvs(&$($mutable)? self) -> Option<&$($mutable)? Tlvs> {
                match self {
                    Self::BindResp(_, resp) => Some(&$($mutable)? resp.tlvs),
                    Self::SubmitSm(message) | Self::DeliverSm(message) | Self::DataSm(message) => {
                        Some(&$($mutable)? message.tlvs)
                    }
                    Self::SubmitSmResp(resp)
                    | Self::DeliverSmResp(resp)
                    | Self::DataSmResp(resp)
                    | Self::BroadcastSmResp(resp)
                    | Self::QueryBroadcastSmResp(resp) => Some(&$($mutable)? resp.tlvs),
                    Self::QuerySmResp(resp) => Some(&$($mutable)? resp.tlvs),
                    Self::EnquireLinkResp(tlvs)
                    | Self::CancelSmResp(tlvs)
                    | Self::ReplaceSmResp(tlvs)
                    | Self::CancelBroadcastSmResp(tlvs) => Some(tlvs),
                    Self::ReplaceSm(replace) => Some(&$($mutable)? replace.tlvs),
                    Self::AlertNotification(alert) => Some(&$($mutable)? alert.tlvs),
                    Self::SubmitMulti(message) => Some(&$($mutable)? message.tlvs),
                    Self::SubmitMultiResp(resp) => Some(&$($mutable)? resp.tlvs),
                    Self::BroadcastSm(message) => Some(&$($mutable)? message.tlvs),
                    Self::QueryBroadcastSm(query) => Some(&$($mutable)? query.tlvs),
                    Self::CancelBroadcastSm(cancel) => Some(&$($mutable)? cancel.tlvs),
                    Self::Bind(..)
                    | Self::Outbind { .. }
                    | Self::Unbind
                    | Self::UnbindResp
                    | Self::EnquireLink
                    | Self::GenericNack
                    | Self::QuerySm(_)
                    | Self::CancelSm(_)
                    | Self::Raw(_) => None,
                }
            }

            $(#[$text_doc])*
            $text_vis const fn $text(&$($mutable)? self) -> Option<&$($mutable)? Bytes> {
                match self {
                    Self::SubmitSm(message) | Self::DeliverSm(message) => Some(&$($mutable)? message.short_message),
                    Self::SubmitMulti(message) => Some(&$($mutable)? message.short_message),
                    Self::ReplaceSm(replace) => Some(&$($mutable)? replace.short_message),
                    Self::Bind(..)
                    | Self::BindResp(..)
                    | Self::Outbind { .. }
                    | Self::Unbind
                    | Self::UnbindResp
                    | Self::EnquireLink
                    | Self::EnquireLinkResp(_)
                    | Self::GenericNack
                    | Self::SubmitSmResp(_)
                    | Self::DeliverSmResp(_)
                    | Self::DataSm(_)
                    | Self::DataSmResp(_)
                    | Self::QuerySm(_)
                    | Self::QuerySmResp(_)
                    | Self::CancelSm(_)
                    | Self::CancelSmResp(_)
                    | Self::ReplaceSmResp(_)
                    | Self::AlertNotification(_)
                    | Self::SubmitMultiResp(_)
                    | Self::BroadcastSm(_)
                    | Self::BroadcastSmResp(_)
                    | Self::QueryBroadcastSm(_)
                    | Self::QueryBroadcastSmResp(_)
                    | Self::CancelBroadcastSm(_)
                    | Self::CancelBroadcastSmResp(_)
                    | Self::Raw(_) => None,
                }
            }
        }
    };
}

parts!(
    /// The TLVs. A raw PDU's are not looked for.
    #[must_use]
    pub tlvs,
    /// short_message; data_sm has none, see [`super::ShortMessage`].
    #[must_use]
    pub short_message,
);
parts!(pub(crate) tlvs_mut, pub(crate) short_message_mut, mut);

impl Body {
    /// congestion_state of an answer (SMPP 5.0 §4.8.4.18): 0 idle to 100 congested.
    #[must_use]
    pub fn congestion_state(&self) -> Option<u8> {
        let state = self.tlvs()?.integer(crate::tlv::tag::CONGESTION_STATE)?;
        Some(u8::try_from(state).unwrap_or(100).min(100))
    }

    /// message_id.
    #[must_use]
    pub const fn message_id(&self) -> Option<&COctets> {
        match self {
            Self::SubmitSmResp(resp)
            | Self::DeliverSmResp(resp)
            | Self::DataSmResp(resp)
            | Self::BroadcastSmResp(resp)
            | Self::QueryBroadcastSmResp(resp) => Some(&resp.message_id),
            Self::SubmitMultiResp(resp) => Some(&resp.message_id),
            Self::QuerySm(query) => Some(&query.message_id),
            Self::QuerySmResp(resp) => Some(&resp.message_id),
            Self::CancelSm(cancel) => Some(&cancel.message_id),
            Self::ReplaceSm(replace) => Some(&replace.message_id),
            Self::BroadcastSm(message) => Some(&message.message_id),
            Self::QueryBroadcastSm(query) => Some(&query.message_id),
            Self::CancelBroadcastSm(cancel) => Some(&cancel.message_id),
            Self::Bind(..)
            | Self::BindResp(..)
            | Self::Outbind { .. }
            | Self::Unbind
            | Self::UnbindResp
            | Self::EnquireLink
            | Self::EnquireLinkResp(_)
            | Self::GenericNack
            | Self::SubmitSm(_)
            | Self::DeliverSm(_)
            | Self::DataSm(_)
            | Self::CancelSmResp(_)
            | Self::ReplaceSmResp(_)
            | Self::AlertNotification(_)
            | Self::SubmitMulti(_)
            | Self::CancelBroadcastSmResp(_)
            | Self::Raw(_) => None,
        }
    }
}

//! Fields of each operation, in the order of the wire (EMI-UCP 4.0 sections 4 to 6).
//!
//! Names in capitals are those of the standard. Knows neither types of operations nor frames. Invariant: a layout is read and
//! written in the same order, and holds text only.

use super::{Reader, SyntaxError};
use crate::text::Text;

/// A layout: fields in the order of the wire, each of text.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Text,)*
        }

        impl $name {
            pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
                Ok(Self { $($field: reader.next()?,)* })
            }

            pub(super) fn fields(&self) -> Vec<&str> {
                vec![$(self.$field.as_str(),)*]
            }
        }
    };
}

layout! {
    /// The fields of operations 51 to 58 (section 5.2). Lengths are those of the standard.
    Message {
        /// AdC: recipient, 16 digits at most; in 53 the notification address.
        adc,
        /// OAdC: sender, 22 characters at most, read with `otoa`; in 53 the recipient of the message.
        oadc,
        /// OAC: authentication code of the sender.
        oac,
        /// NRq: 1 asks for notifications.
        nrq,
        /// NAdC: where notifications go, else to OAdC.
        nadc,
        /// NT: which notifications, the sum of 1 delivery, 2 non-delivery, 4 buffered.
        nt,
        /// NPID: kind of NAdC: `0539` the PC application over TCP/IP, `0100` a mobile.
        npid,
        /// LRq: last resort address wanted.
        lrq,
        /// LRAd: last resort address.
        lrad,
        /// LPID: kind of LRAd.
        lpid,
        /// DD: 1 for deferred delivery.
        dd,
        /// DDT: when, DDMMYYHHmm.
        ddt,
        /// VP: validity, DDMMYYHHmm.
        vp,
        /// RPID: replace PID, 0000 to 0071, 0095, 0127.
        rpid,
        /// SCTS: the centre's time of the message, DDMMYYHHmmss.
        scts,
        /// Dst: 0 delivered, 1 buffered, 2 not delivered; in 53.
        dst,
        /// Rsn: why not, three digits; in 53.
        rsn,
        /// DSCTS: when it was delivered, DDMMYYHHmmss; in 53.
        dscts,
        /// MT: 2 numeric, 3 alphanumeric, 4 transparent.
        mt,
        /// NB: bits of a transparent message.
        nb,
        /// NMsg, AMsg or TMsg, as MT says.
        msg,
        /// MMS: more messages follow.
        mms,
        /// PR: priority, 0 to 3.
        pr,
        /// DCs: 0 default alphabet, 1 user defined (deprecated).
        dcs,
        /// MCLs: message class, 0 to 3.
        mcls,
        /// RPI: reply path, 1 request, 2 response.
        rpi,
        /// CPg: reserved for code page.
        cpg,
        /// RPLy: reserved for reply type.
        rply,
        /// OTOA: kind of OAdC: 1139 international, 5039 alphanumeric, empty: a number of the network.
        otoa,
        /// HPLMN: home network of the phone, in 52.
        hplmn,
        /// XSer: extra services ([`crate::xser`]).
        xser,
        /// RES4.
        res4,
        /// RES5.
        res5,
    }
}

layout! {
    /// The fields of operation 60 and 61: sessions and lists (sections 6.2 and 6.3).
    Session {
        /// OAdC: who, the account.
        oadc,
        /// OTON: 1 international, 2 national, 6 abbreviated.
        oton,
        /// ONPI: 1 E.164, 3 X.121, 5 private.
        onpi,
        /// STYP: 60: 1 open, 3 change password, 4 open provisioning, 6 change its password; 61: 1 to 6, add, remove and verify
        /// in the lists of MO and MT.
        styp,
        /// PWD: the password, in hexadecimal.
        pwd,
        /// NPWD: the new one.
        npwd,
        /// VERS: `0100`.
        vers,
        /// LAdC: the address that is listed; 61.
        ladc,
        /// LTON: its kind.
        lton,
        /// LNPI: its plan.
        lnpi,
        /// OPID: 00 mobile, 39 PC application; 60.
        opid,
        /// RES1.
        res1,
    }
}

layout! {
    /// The fields of operation 31: message waiting at the centre, and the keep-alive of both ends (section 4.6).
    Alert {
        /// AdC: whose messages.
        adc,
        /// PID: kind of AdC, `0539`.
        pid,
    }
}

layout! {
    /// The fields of operation 01: call input, the oldest way to send (section 4.2).
    CallInput {
        /// AdC: recipient.
        adc,
        /// OAdC: sender.
        oadc,
        /// OAC: authentication code of the sender.
        oac,
        /// MT: 2 numeric, 3 alphanumeric.
        mt,
        /// NMsg or AMsg, as MT says.
        msg,
    }
}

layout! {
    /// The fields of operation 30: message transfer (section 4.5).
    Transfer {
        /// AdC: recipient.
        adc,
        /// OAdC: sender.
        oadc,
        /// OAC: authentication code of the sender.
        oac,
        /// NRq: 1 asks for notifications.
        nrq,
        /// NAdC: where they go.
        nadc,
        /// NPID: kind of NAdC.
        npid,
        /// DD: 1 for deferred delivery.
        dd,
        /// DDT: when, DDMMYYHHmm.
        ddt,
        /// VP: validity, DDMMYYHHmm.
        vp,
        /// AMsg.
        amsg,
    }
}

layout! {
    /// What of operation 02 stands behind its addresses (section 4.3).
    MultipleRest {
        /// OAdC: sender.
        oadc,
        /// OAC: authentication code of the sender.
        oac,
        /// MT: 2 numeric, 3 alphanumeric.
        mt,
        /// NMsg or AMsg, as MT says.
        msg,
    }
}

layout! {
    /// What of operation 03 stands before its addresses (section 4.4).
    ServicesHead {
        /// RAd: recipient.
        rad,
        /// OAdC: sender.
        oadc,
        /// OAC: authentication code of the sender.
        oac,
    }
}

layout! {
    /// What of operation 03 stands behind its addresses.
    ServicesRest {
        /// RP: repetition.
        rp,
        /// LRP: its legitimisation code.
        lrp,
        /// PR: priority.
        pr,
        /// LPR: its legitimisation code.
        lpr,
        /// UR: urgent.
        ur,
        /// LUR: its legitimisation code.
        lur,
        /// RC: reverse charging.
        rc,
        /// LRC: its legitimisation code.
        lrc,
        /// DD: deferred delivery.
        dd,
        /// DDT: when.
        ddt,
        /// MT: 2 numeric, 3 alphanumeric.
        mt,
        /// NMsg or AMsg, as MT says.
        msg,
    }
}

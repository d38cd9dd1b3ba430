//! `[operator.<id>]`: a carrier account.
//!
//! Must not know how a link works; the operator node reads these values.
//! Invariant: a key that the operator's protocol does not use is refused, so that nothing is set in vain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::section::{at_most_chars, between, each, if_set};
pub use crate::types::InDoubt;
use crate::types::{HostPort, Ladder, Secret, SecretSource};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

words! {
    /// What the carrier speaks.
    Protocol {
        /// SMPP 3.4.
        Smpp = "smpp",
        /// UCP/EMI 4.
        Ucp = "ucp",
        /// HTTP; not in this version.
        Http = "http",
    }
}

words! {
    /// Which binds make one link.
    BindMode {
        /// One bind for both directions.
        Transceiver = "transceiver",
        /// A transmitter and a receiver that belong together.
        TransmitterReceiver = "transmitter+receiver",
    }
}

words! {
    /// When receipts are requested from the carrier.
    Receipts {
        /// For every message.
        Always = "always",
        /// For messages whose client wants a report.
        Asked = "asked",
        /// Never; `sent` is then a final state.
        Never = "never",
    }
}

words! {
    /// How the validity of a message is told to an SMPP carrier.
    ValidityFormat {
        /// As a point in time, in UTC.
        Absolute = "absolute",
        /// As a length of time.
        Relative = "relative",
        /// Not at all: the carrier's own default holds.
        None = "none",
    }
}

words! {
    /// What the carrier means by data_coding 0 ("SMSC default alphabet").
    Alphabet {
        /// GSM 03.38, one septet in each octet.
        Gsm7 = "gsm7",
        /// ISO 8859-1.
        Latin1 = "latin1",
    }
}

words! {
    /// How an international recipient is written for a UCP carrier.
    NumberFormat {
        /// With `00` in front.
        DoubleZero = "00",
        /// The digits alone.
        Plain = "plain",
        /// With `+` in front.
        Plus = "+",
    }
}

words! {
    /// The state of a receipt, by its word in SMPP 3.4 appendix B.
    ReceiptState {
        /// Delivered.
        Delivrd = "DELIVRD",
        /// Validity ran out at the carrier.
        Expired = "EXPIRED",
        /// Deleted at the carrier.
        Deleted = "DELETED",
        /// Cannot be delivered.
        Undeliv = "UNDELIV",
        /// Accepted by hand on behalf of the phone.
        Acceptd = "ACCEPTD",
        /// On its way.
        Enroute = "ENROUTE",
        /// The carrier does not know.
        Unknown = "UNKNOWN",
        /// Refused.
        Rejectd = "REJECTD",
    }
}

words! {
    /// What a receipt state makes of a part.
    StateWord {
        /// Final: delivered.
        Delivered = "delivered",
        /// Final: could not be delivered.
        Failed = "failed",
        /// Final: validity ran out.
        Expired = "expired",
        /// Final: refused.
        Rejected = "rejected",
        /// Final: cancelled.
        Cancelled = "cancelled",
        /// Not final: the part stays `sent`.
        Intermediate = "intermediate",
    }
}

section! {
    /// `[operator.<id>.tls]`: present means TLS.
    TlsSection {
        /// Certificates (PEM) that sign the carrier's; absent: those of the system. Since 0.1.
        ca_file: Option<PathBuf> = None, Relink;
        /// Name in the carrier's certificate; absent: the host. Since 0.1.
        server_name: Option<String> = None, Relink;
        /// Our certificate chain (PEM), when the carrier asks for one. Since 0.1.
        cert_file: Option<PathBuf> = None, Relink;
        /// Our private key (PEM), with `cert_file`. Since 0.1.
        key_file: Option<PathBuf> = None, Relink;
    }
}

section! {
    /// `[operator.<id>]`: a carrier account.
    Operator {
        /// What the carrier speaks. Since 0.1.
        protocol: Protocol = Protocol::Smpp, Relink [required];
        /// `host:port`, tried in turn; links are spread over them. Since 0.1.
        hosts: Vec<HostPort> = Vec::new(), Relink [required];
        /// TLS to the carrier; absent: plain TCP. Since 0.1.
        tls: Option<TlsSection> = None, Relink;
        /// SMPP account. Since 0.1.
        system_id: Option<String> = None, Relink where if_set(at_most_chars(15));
        /// UCP account (operation 60). Since 0.1.
        login: Option<String> = None, Relink where if_set(at_most_chars(16));
        /// Password of the account; or `password_file`. Since 0.1.
        password: Option<Secret> = None, Relink;
        /// File with the password (its first line); a relative path counts from the file. Since 0.1.
        password_file: Option<PathBuf> = None, Relink;
        /// SMPP system_type of the bind. Since 0.1.
        system_type: String = String::new(), Relink where at_most_chars(12);
        /// SMPP address_range of the bind. Since 0.1.
        address_range: String = String::new(), Relink where at_most_chars(40);
        /// SMPP service_type of messages. Since 0.1.
        service_type: String = String::new(), Live where at_most_chars(5);
        /// Which SMPP binds make one link. Since 0.1.
        bind: BindMode = BindMode::Transceiver, Relink;
        /// Number of links. Since 0.1.
        binds: u32 = 1, Relink where between(1, 1_000);
        /// Unanswered parts per link, bounded by `limits.max_window`; UCP at most 100. Since 0.1.
        window: u32 = 10, Relink where between(1, 100_000);
        /// Parts in any sliding second for the whole operator; 0 = unlimited. Since 0.1.
        rate: f64 = 0.0, Live where between(0.0, 1_000_000.0);
        /// Parts that may go at once after a pause; they count in the same second. Since 0.1.
        burst: u32 = 1, Live where between(1, 100_000);
        /// When receipts are requested. Since 0.1.
        receipts: Receipts = Receipts::Always, Live;
        /// What happens to a part that was written and never answered: `resubmit`, `wait:<time>` for its receipt,
        /// `query` the carrier, or `reject`. Since 0.1.
        in_doubt: InDoubt = InDoubt::Resubmit, Live;
        /// How long connecting and, with TLS, the handshake may take. Since 0.1.
        connect_timeout: Duration = 10 * SECOND, Relink where between(Duration::from_millis(100), 5 * MINUTE);
        /// How long the carrier may take to answer a request. Since 0.1.
        response_timeout: Duration = 30 * SECOND, Relink where between(SECOND, 10 * MINUTE);
        /// Silence after which the link asks whether the carrier is there. Since 0.1.
        enquire_link: Duration = 30 * SECOND, Relink where between(SECOND, HOUR);
        /// First delay before a lost link is opened again; it doubles, with jitter. Since 0.1.
        reconnect_min: Duration = Duration::from_millis(500), Live where between(Duration::from_millis(10), HOUR);
        /// Longest delay before a lost link is opened again. Since 0.1.
        reconnect_max: Duration = 30 * SECOND, Live where between(Duration::from_millis(10), HOUR);
        /// Delay after the carrier refused the credentials. Since 0.1.
        credentials_retry: Duration = 60 * SECOND, Live where between(SECOND, 24 * HOUR);
        /// Sender of messages that have none, when their client has none either. Since 0.1.
        default_from: Option<String> = None, Live where if_set(at_most_chars(20));
        /// Type of number of every sender, instead of the one derived from it. Since 0.1.
        source_ton: Option<u8> = None, Live where if_set(between(0, 6));
        /// Numbering plan of every sender, instead of the one derived from it. Since 0.1.
        source_npi: Option<u8> = None, Live where if_set(between(0, 18));
        /// Type of number of every recipient, instead of the one derived from it. Since 0.1.
        dest_ton: Option<u8> = None, Live where if_set(between(0, 6));
        /// Numbering plan of every recipient, instead of the one derived from it. Since 0.1.
        dest_npi: Option<u8> = None, Live where if_set(between(0, 18));
        /// How an international recipient is written (UCP). Since 0.1.
        number_format: NumberFormat = NumberFormat::DoubleZero, Live;
        /// How validity is told (SMPP). Since 0.1.
        validity: ValidityFormat = ValidityFormat::Absolute, Live;
        /// What data_coding 0 means to the carrier (SMPP). Since 0.1.
        alphabet: Alphabet = Alphabet::Gsm7, Live;
        /// What receipt states mean, where the carrier differs from the default, as in
        /// `states = { UNKNOWN = "intermediate" }`; keys are DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, ENROUTE,
        /// UNKNOWN and REJECTD. Since 0.1.
        states: BTreeMap<ReceiptState, StateWord> = BTreeMap::new(), Live;
        /// Answers (command_status) that slow the link and bring the part back at no cost. Since 0.1.
        throttled: Vec<u32> = vec![0x58], Live where each(between(1, 0xFFFF));
        /// How soon a throttled part comes back. Since 0.1.
        throttled_retry: Duration = SECOND, Live where between(Duration::from_millis(100), 10 * MINUTE);
        /// Answers that retry that part only, at no cost. Since 0.1.
        queue_full: Vec<u32> = vec![0x14], Live where each(between(1, 0xFFFF));
        /// Delays after `queue_full` answers; the last one repeats. Since 0.1.
        queue_full_retry: Ladder = Ladder::doubling(), Live;
        /// Answers that retry at the cost of one attempt. Since 0.1.
        temporary: Vec<u32> = vec![0x08, 0x64, 0x45], Live where each(between(1, 0xFFFF));
        /// Delays after `temporary` answers; the last one repeats. Since 0.1.
        temporary_retry: Ladder = Ladder::doubling(), Live;
        /// Attempts at most, the first included, for `temporary` answers. Since 0.1.
        temporary_attempts: u32 = 5, Live where between(1, 1_000);
    }
}

impl Operator {
    /// Where the password comes from; `None` when the account has none.
    pub fn password_source(&self) -> Option<SecretSource> {
        SecretSource::of(self.password.as_ref(), self.password_file.as_ref())
    }

    /// What a receipt state makes of a part: the operator's own map, else the default of the design.
    pub fn state_of(&self, receipt: ReceiptState) -> StateWord {
        self.states.get(&receipt).copied().unwrap_or(match receipt {
            ReceiptState::Delivrd => StateWord::Delivered,
            ReceiptState::Expired => StateWord::Expired,
            ReceiptState::Deleted => StateWord::Cancelled,
            ReceiptState::Undeliv | ReceiptState::Unknown => StateWord::Failed,
            ReceiptState::Rejectd => StateWord::Rejected,
            ReceiptState::Acceptd | ReceiptState::Enroute => StateWord::Intermediate,
        })
    }
}

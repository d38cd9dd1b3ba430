//! `[operator.<id>]`: a carrier account.
//!
//! Must not know how a link works; the operator node reads these values.
//! Invariant: a key that the operator's protocol does not use is refused, so that nothing is set in vain.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::calls::CarrierCalls;
use super::content::{
    Addresses, ClassForm, ClientOption, DataCodings, LongMessages, Priorities, SenderAlphabet, TlvRange,
    TlvTag, TlvValue,
};
use super::http_carrier::HttpCarrier;
use crate::section::{at_most_chars, at_most_digits, between, if_set};
use crate::status::{HTTP_BASE, StatusRange, UCP_BASE, codes};
pub use crate::types::InDoubt;
use crate::types::{Digits, HostPort, Ladder, ReceiptWord, Secret, SecretSource, SpkiPin};

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
        /// HTTP, as `http` describes it.
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
        /// A transceiver; the pair when the carrier refuses transceivers.
        Auto = "auto",
    }
}

words! {
    /// Version of SMPP that the bind claims.
    InterfaceVersion {
        /// SMPP 3.3: no optional parameters, no transceivers.
        V3_3 = "3.3",
        /// SMPP 3.4.
        V3_4 = "3.4",
        /// SMPP 5.0.
        V5_0 = "5.0",
    }
}

words! {
    /// How links are closed.
    Closing {
        /// Answers are waited for `node.drain_timeout`.
        Stop = "stop",
        /// Every answer is waited for, as long as `response_timeout` lets the carrier take.
        Drain = "drain",
    }
}

/// What is wanted of one link, by all that the file and the orders say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkWish {
    /// Open, and taking parts.
    Open,
    /// Open, taking no parts.
    Held,
    /// Closed, after every answer.
    Drained,
    /// Closed, after the answers of `node.drain_timeout`.
    Stopped,
}

words! {
    /// What a carrier's certificate is checked for.
    CertificateCheck {
        /// Its signers, its dates, its name, and its key where one is pinned.
        Full = "full",
        /// Its key alone.
        Pin = "pin",
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
        /// GSM 03.38, eight septets packed in seven octets.
        Gsm7Packed = "gsm7-packed",
        /// ISO 8859-1.
        Latin1 = "latin1",
        /// ASCII.
        Ascii = "ascii",
        /// UTF-8.
        Utf8 = "utf8",
    }
}

impl Alphabet {
    /// Whether texts in the GSM 7-bit alphabet may have characters that this one has not.
    pub fn lacks_characters(self) -> bool {
        match self {
            Self::Latin1 | Self::Ascii => true,
            Self::Gsm7 | Self::Gsm7Packed | Self::Utf8 => false,
        }
    }
}

words! {
    /// Which receipts speak for a long message.
    LongReceipts {
        /// One of each part.
        All = "all",
        /// The first final one, of whichever part: the carrier sends one for the whole.
        Any = "any",
        /// That of the first part, the only one that is requested.
        First = "first",
        /// That of the last part, the only one that is requested.
        Last = "last",
    }
}

words! {
    /// How the id in a carrier's receipts follows from that in its answers; case and leading zeros never matter.
    MessageIds {
        /// Found out from the receipts that leave no doubt: one of the others, or that the carrier mixes them.
        Auto = "auto",
        /// The same.
        Same = "same",
        /// Hexadecimal in the answer, decimal in the receipt.
        HexToDecimal = "hex-to-decimal",
        /// Decimal in the answer, hexadecimal in the receipt.
        DecimalToHex = "decimal-to-hex",
    }
}

words! {
    /// When a delivery that does not say so (esm_class) is a receipt all the same.
    Unflagged {
        /// Never.
        Never = "never",
        /// When it has receipted_message_id and message_state, which no phone can set.
        Tlvs = "tlvs",
        /// Also when its text has the whole form of SMPP 3.4 appendix B, which any phone can write.
        Text = "text",
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
        /// Certificates (PEM) that sign the carrier's; absent: those of the system. The three files are read again at each
        /// connect: a renewed certificate is used from the next connect on and no link is dropped for it; a file that is broken
        /// or half written is logged, and what was read before stays in use. Since 0.1.
        ca_file: Option<PathBuf> = None, Relink;
        /// Name in the carrier's certificate, also asked for by SNI; absent: the host. Since 0.1.
        server_name: Option<String> = None, Relink;
        /// Our certificate chain (PEM), when the carrier asks for one. Since 0.1.
        cert_file: Option<PathBuf> = None, Relink;
        /// Our private key (PEM), with `cert_file`. Since 0.1.
        key_file: Option<PathBuf> = None, Relink;
        /// Keys that the carrier may have: SHA-256 of the SubjectPublicKeyInfo of its certificate (RFC 7469), 64 hex digits, as
        /// told by `openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum`. Name the next key
        /// too before the carrier changes it. Empty: any. Since 0.1.
        pin_sha256: Vec<SpkiPin> = Vec::new(), Relink;
        /// What the carrier's certificate is checked for: `full` (signers, dates, name, and the key where there are pins) or
        /// `pin` (the key alone, for a certificate that the carrier signed itself). Since 0.1.
        verify: CertificateCheck = CertificateCheck::Full, Relink;
    }
}

section! {
    /// `[operator.<id>]`: a carrier account.
    Operator {
        /// What the carrier speaks. Since 0.1.
        protocol: Protocol = Protocol::Smpp, Relink [required];
        /// Whether its links are open. Without: nothing connects, and its parts wait in their queue until their validity ends.
        /// Since 0.1.
        enabled: bool = true, Relink;
        /// How its links are closed when `enabled` becomes false: `stop` waits `node.drain_timeout` for what is unanswered,
        /// `drain` until all of it is answered or has passed `response_timeout`. Since 0.1.
        closing: Closing = Closing::Stop, Live;
        /// Links, by number from 1, that stay closed; closed as by `stop`. Links that are not in the list do not notice. Since 0.1.
        links_stopped: Vec<u32> = Vec::new(), Live;
        /// The same, closed as by `drain`. Since 0.1.
        links_drained: Vec<u32> = Vec::new(), Live;
        /// Links that take nothing from the queue; they stay bound, receipts and replies come in over them. Since 0.1.
        links_held: Vec<u32> = Vec::new(), Live;
        /// `host:port`; at each connect a link tries them all in order until one takes it, the first link from the first host
        /// on, the second from the second and so on, so that links spread over them. A link that came up elsewhere goes back to
        /// its first host when it connects the next time, not before. Names are looked up at each connect; the IPv6 and IPv4
        /// addresses of a name in turn, 250 ms apart.
        /// Needed for SMPP and UCP, unless every link waits for `calls`; an HTTP carrier is where `http.url` says. Since 0.1.
        hosts: Vec<HostPort> = Vec::new(), Relink;
        /// Our address towards the carrier, for its allow list; hosts are then reached over its family (IPv4 or IPv6) only.
        /// Absent: the system's choice. Since 0.1.
        source_address: Option<IpAddr> = None, Relink;
        /// Where the carrier connects to us, if it does. Since 0.1.
        calls: Option<CarrierCalls> = None, Relink;
        /// TLS to the carrier; absent: plain TCP. Since 0.1.
        tls: Option<TlsSection> = None, Relink;
        /// What an HTTP carrier takes, answers and brings. Since 0.1.
        http: Option<HttpCarrier> = None, Relink;
        /// Type and plan of each kind of address (SMPP). `source_ton` and the like, where set, come before it. Since 0.1.
        addresses: Addresses = Addresses::default(), Live;
        /// data_coding of texts, where the carrier's differs (SMPP). Since 0.1.
        data_coding: DataCodings = DataCodings::default(), Live;
        /// priority_flag by class (SMPP). Since 0.1.
        priority: Priorities = Priorities::default(), Live;
        /// SMPP account. Since 0.1.
        system_id: Option<String> = None, Relink where if_set(at_most_chars(15));
        /// UCP account (operation 60); not needed where every link waits for `calls`. Since 0.1.
        login: Option<String> = None, Relink where if_set(at_most_chars(16));
        /// Password of the account; or `password_file`. Since 0.1.
        password: Option<Secret> = None, Relink;
        /// File with the password (its first line); a relative path counts from the file. Since 0.1.
        password_file: Option<PathBuf> = None, Relink;
        /// SMPP system_type of the bind. Since 0.1.
        system_type: String = String::new(), Relink where at_most_chars(12);
        /// SMPP address_range of the bind. Since 0.1.
        address_range: String = String::new(), Relink where at_most_chars(40);
        /// SMPP addr_ton of the bind: type of the numbers in `address_range`. Since 0.1.
        address_ton: u8 = 0, Relink where between(0, 6);
        /// SMPP addr_npi of the bind: plan of the numbers in `address_range`. Since 0.1.
        address_npi: u8 = 0, Relink where between(0, 18);
        /// SMPP interface_version of the bind. A 3.3 session sends no optional parameters. Since 0.1.
        interface_version: InterfaceVersion = InterfaceVersion::V3_4, Relink;
        /// SMPP service_type of messages. Since 0.1.
        service_type: String = String::new(), Live where at_most_chars(5);
        /// Which SMPP binds make one link. `auto`: a transceiver; when the carrier answers it with ESME_RINVCMDID,
        /// ESME_RINVBNDSTS or ESME_RBINDFAIL, a transmitter is tried, and once one is bound all links of the operator are pairs
        /// until they are relinked. SMPP 3.3 has no transceivers: with it `auto` is the pair. Since 0.1.
        bind: BindMode = BindMode::Transceiver, Relink;
        /// Number of links. Since 0.1.
        binds: u32 = 1, Relink where between(1, 1_000);
        /// Unanswered parts per link, bounded by `limits.max_window`; UCP at most 100. Since 0.1.
        window: u32 = 10, Relink where between(1, 100_000);
        /// Parts in any sliding second for the whole operator; 0 = unlimited. Since 0.1.
        rate: f64 = 0.0, Live where between(0.0, 1_000_000.0);
        /// Parts that may go at once after a pause; they count in the same second. Since 0.1.
        burst: u32 = 1, Live where between(1, 100_000);
        /// Deliveries (MO and receipts) taken in any sliding second over all links; beyond it the carrier is answered
        /// ESME_RX_T_APPN and delivers again later. 0 = unlimited. Since 0.1.
        inbound_rate: f64 = 0.0, Live where between(0.0, 1_000_000.0);
        /// Each link narrows its window while the carrier answers late, throttles, leaves submits unanswered or reports
        /// congestion_state (SMPP 5.0), and widens it again up to `window`. It begins with 10, doubling until that is too
        /// many; late is a median answer time above twice the best of the last minute and at least 50 ms above it, which
        /// takes a quarter off (half, when very late), anything else takes half, once a second at most; never below 1.
        /// Since 0.1.
        adaptive: bool = true, Live;
        /// When receipts are requested. Since 0.1.
        receipts: Receipts = Receipts::Always, Live;
        /// Which receipts speak for a long message: of `all` parts, of `any` part (the carrier sends one for the whole), of
        /// the `first` or the `last` part (requested on that part only). Since 0.1.
        long_receipts: LongReceipts = LongReceipts::All, Live;
        /// How the id in a receipt follows from that in the answer: `auto`, `same`, `hex-to-decimal` or `decimal-to-hex`.
        /// Case and leading zeros never matter. `auto` finds out, and tries every form where a carrier mixes them. Since 0.1.
        message_ids: MessageIds = MessageIds::Auto, Live;
        /// What happens to a part that was written and never answered: `resubmit`, `wait:<time>` for its receipt,
        /// `query` the carrier (SMPP), or `reject`. Since 0.1.
        in_doubt: InDoubt = InDoubt::Resubmit, Live;
        /// How often a part in doubt is sent again at most; then it ends as rejected with error `in_doubt`, so that a message
        /// which breaks the carrier or its link does not do so for ever. Kept across restarts; 0 never sends again. Since 0.1.
        in_doubt_max: u32 = 5, Live where between(0, 1_000);
        /// An MO that was answered within this time before its session ended is recognised when the carrier delivers it
        /// again, and not taken twice; 0 takes every delivery for a new MO. Since 0.1.
        redelivery_window: Duration = 2 * SECOND, Live where between(Duration::ZERO, 5 * MINUTE);
        /// Whether every PDU of the operator's links is logged, in both directions, one line each: target `smsgw::pdu`, level
        /// info, without passwords and texts, addresses hidden unless `log.bodies` is on. At most 5000 lines a second and bind.
        /// Since 0.1.
        pdu_log: bool = false, Live;
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
        /// Least delay after the carrier said that we are bound already (ESME_RALYBND): it keeps the ghost of a lost session for
        /// 10 to 60 s, and more tries may keep it alive. Since 0.1.
        already_bound_retry: Duration = 30 * SECOND, Live where between(SECOND, HOUR);
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
        number_format: NumberFormat = NumberFormat::DoubleZero, Relink;
        /// The address that notifications are to be sent to (UCP: NAdC), for an account with several connections: the carrier knows
        /// which of them it means, or connects to us for it (`calls`). Absent: to the sender's own. Since 0.1.
        notification_address: Option<Digits> = None, Relink where if_set(at_most_digits(16));
        /// How the letters of a sender are written (SMPP); a sender with a character that it lacks is refused. Since 0.1.
        sender_alphabet: SenderAlphabet = SenderAlphabet::Latin1, Live;
        /// How validity is told (SMPP). Since 0.1.
        validity: ValidityFormat = ValidityFormat::Absolute, Live;
        /// The longest validity that the carrier takes; a longer one is told as this, and kept here as it is. Absent: any.
        /// Since 0.1.
        validity_max: Option<Duration> = None, Live where if_set(between(SECOND, 365 * 24 * HOUR));
        /// What data_coding 0 means to the carrier (SMPP), in both directions. Text that a carrier's `latin1` or `ascii`
        /// lacks goes as UCS-2 where that fits. Since 0.1.
        alphabet: Alphabet = Alphabet::Gsm7, Live;
        /// How the message class is told (SMPP). Since 0.1.
        message_class: ClassForm = ClassForm::DataCoding, Live;
        /// How long messages go (SMPP). A change counts for messages routed from then on, `sar` for those in the queue too.
        /// Since 0.1.
        long_messages: LongMessages = LongMessages::Udh8, Live;
        /// Whether more_messages_to_send is told with the parts of a long message (SMPP). Since 0.1.
        more_messages: bool = false, Live;
        /// protocol_id of messages (SMPP; TP-PID). Since 0.1.
        protocol_id: u8 = 0, Live;
        /// Optional parameters of every message (SMPP), as in `tlvs = { "0x1400" = "text:abc", "0x1401" = "hex:0102" }`.
        /// The text goes as it is, without a NUL. Since 0.1.
        tlvs: BTreeMap<TlvTag, TlvValue> = BTreeMap::new(), Live;
        /// What clients may ask of this carrier for their own messages (SMPP): `priority`, `protocol_id`, `service_type`,
        /// `replace_if_present` and `data_coding`; the client's value then goes instead of the operator's. What is not in the
        /// list is left out and counted (`smsgw_operator_options_left_out_total`). replace_if_present is left out of the parts of
        /// a long message too, which would replace each other; data_coding goes only with octets that are sent as the client
        /// wrote them, and by default not at all: it may turn a text into one that the phone does not show. Since 0.1.
        pass_options: Vec<ClientOption> = ClientOption::DEFAULT.to_vec(), Live;
        /// Optional parameters that clients may set for their own messages (SMPP), as tags and ranges: `[0x1401,
        /// "0x1410-0x141F"]`; none by default, because carriers bill and route by them. A client's goes instead of the one in
        /// `tlvs`. Others are left out and counted, those that the gateway writes itself always. Since 0.1.
        tlvs_allowed: Vec<TlvRange> = Vec::new(), Live;
        /// Optional parameters without which this carrier takes no message (SMPP), as `[0x1401]`: a message that has one of them
        /// neither from its client nor in `tlvs` is not sent and ends as rejected with error `required_tlv_missing`. Since 0.1.
        tlvs_required: Vec<TlvTag> = Vec::new(), Live;
        /// When a delivery without the receipt bits of esm_class is a receipt all the same: `never`, by its `tlvs`
        /// (receipted_message_id and message_state), or also by its `text`. With `text` anybody with a phone can claim that a
        /// message was delivered: only for a carrier that never sets the bits. Since 0.1.
        receipts_unflagged: Unflagged = Unflagged::Tlvs, Live;
        /// Words (or numbers of message_state) of this carrier's receipts and the state that each stands for, as in
        /// `receipt_words = { ACKED = "ENROUTE", BUFFRED = "ENROUTE" }`; what that state means is said by `states`. Words
        /// that nobody knows are not final. Since 0.1.
        receipt_words: BTreeMap<ReceiptWord, ReceiptState> = BTreeMap::new(), Live;
        /// What receipt states mean, where the carrier differs from the default, as in
        /// `states = { UNKNOWN = "intermediate" }`; keys are DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, ENROUTE,
        /// UNKNOWN and REJECTD. Since 0.1.
        states: BTreeMap<ReceiptState, StateWord> = BTreeMap::new(), Live;
        /// Answers that end the part as refused even where another list holds them too: exceptions from a range. Any answer
        /// but success that no list holds does the same. Since 0.1.
        rejected: Vec<StatusRange> = Vec::new(), Live;
        /// Answers after which another operator is tried: the next one of the message's route that was not tried yet, as long as
        /// `limits.reroutes` allows and its validity lasts; when there is none, the part ends as refused. A long message stays
        /// together: it goes elsewhere as a whole once every part has its answer and none was taken; where one was taken, only
        /// the others go; where one was refused for good, none does. Since 0.1.
        reroute: Vec<StatusRange> = Vec::new(), Live;
        /// Answers (command_status) that slow the link and bring the part back at no cost, until its validity ends. Each is a
        /// number (vendors' up to 32 bits), a name of the specification (error codes of UCP: `UCP_01` to `UCP_99`; statuses of HTTP: `HTTP_100` to `HTTP_599`; codes in answers over HTTP: `HTTP_CODE_0` to `HTTP_CODE_65535`) or a range, as in `[0x58, "ESME_RX_T_APPN",
        /// "0x400-0x4ff"]`; the first of `rejected`, `reroute`, `throttled`, `queue_full` and `temporary` that holds an answer counts. Since 0.1.
        throttled: Vec<StatusRange> = codes(&[0x58, HTTP_BASE + 429]), Live;
        /// How soon a throttled part comes back. Since 0.1.
        throttled_retry: Duration = SECOND, Live where between(Duration::from_millis(100), 10 * MINUTE);
        /// Answers that retry that part only, at no cost, until its validity ends. Since 0.1.
        queue_full: Vec<StatusRange> = codes(&[0x14]), Live;
        /// Delays after `queue_full` answers; the last one repeats. How often a part has met them is kept across
        /// restarts. Since 0.1.
        queue_full_retry: Ladder = Ladder::doubling(), Live;
        /// Answers that retry at the cost of one attempt. Since 0.1.
        temporary: Vec<StatusRange> = temporary(), Live;
        /// Delays after `temporary` answers; the last one repeats. Since 0.1.
        temporary_retry: Ladder = Ladder::doubling(), Live;
        /// Attempts at most, the first included, for `temporary` answers. Since 0.1.
        temporary_attempts: u32 = 5, Live where between(1, 1_000);
        /// Whether another operator is tried, as for `reroute`, when the attempts for `temporary` answers are used up. Since 0.1.
        reroute_exhausted: bool = false, Live;
    }
}

fn temporary() -> Vec<StatusRange> {
    let mut list = codes(&[0x08, 0x64, 0x45, UCP_BASE + 4, HTTP_BASE + 408]);
    list.extend(StatusRange::between(HTTP_BASE + 500, HTTP_BASE + 599));
    list
}

impl Operator {
    /// Where the password comes from; `None` when the account has none.
    pub fn password_source(&self) -> Option<SecretSource> {
        SecretSource::of(self.password.as_ref(), self.password_file.as_ref())
    }

    /// What is wanted of the link with this number, from 1.
    pub fn link_wish(&self, link: u32) -> LinkWish {
        match (self.enabled, self.closing) {
            (false, Closing::Stop) => LinkWish::Stopped,
            (false, Closing::Drain) => LinkWish::Drained,
            (true, Closing::Stop | Closing::Drain) if self.links_stopped.contains(&link) => LinkWish::Stopped,
            (true, Closing::Stop | Closing::Drain) if self.links_drained.contains(&link) => LinkWish::Drained,
            (true, Closing::Stop | Closing::Drain) if self.links_held.contains(&link) => LinkWish::Held,
            (true, Closing::Stop | Closing::Drain) => LinkWish::Open,
        }
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

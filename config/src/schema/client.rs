//! `[client.<id>]`: a client account.
//!
//! Must not know how a client is authenticated; the client node reads these values.
//! Invariant: no two clients share an API key or a system_id (checked across sections).

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use smsgw_message::Encoding;
use smsgw_routing::SenderPattern;

use super::admission::{ListName, TextPattern, is_sender};
use super::client_callback::CallbackPolicy;
use super::credit::{CreditSection, Numbering};
use super::key::ApiKey;
use super::smpp::{ClientSmpp, known_zone};
use crate::section::{at_most_chars, between, if_set};
use crate::types::{CallbackUrl, Class, Report, Secret, SecretSource, Sha256Digest};

section! {
    /// `[client.<id>]`: a client account.
    Client {
        /// Key of the HTTP API; better `api_key_sha256`. Since 0.1.
        api_key: Option<Secret> = None, Live;
        /// SHA-256 (64 hex digits) of each key of the HTTP API; several while keys are changed. Since 0.1.
        api_key_sha256: Vec<Sha256Digest> = Vec::new(), Live;
        /// Keys of the HTTP API with scopes, networks and an end. Since 0.1.
        keys: Vec<ApiKey> = Vec::new(), Live;
        /// Networks the account may be used from (`192.0.2.0/24`, `2001:db8::/32`); empty: any. Since 0.1.
        allow: Vec<IpNet> = Vec::new(), Live;
        /// HTTP connections at once, above it `429 rate_limited` and the connection is closed; 0 = unlimited. Since 0.1.
        max_connections: u32 = 0, Live where between(0, 1_000_000);
        /// SMPP account; also the sign that the client may bind. Since 0.1.
        system_id: Option<String> = None, Live where if_set(at_most_chars(15));
        /// Password of the SMPP account; or `password_file` or `password_argon2`. Since 0.1.
        password: Option<Secret> = None, Live;
        /// File with the password (its first line); a relative path counts from the file. Since 0.1.
        password_file: Option<PathBuf> = None, Live;
        /// Argon2 hash of the password in PHC form (`$argon2id$…`). Since 0.1.
        password_argon2: Option<Secret> = None, Live;
        /// Default target (http or https) of reports and MO; absent: SMPP binds or inbox. Since 0.1.
        callback: Option<CallbackUrl> = None, Live;
        /// How its events are posted. Since 0.1.
        callback_policy: CallbackPolicy = CallbackPolicy::default(), Live;
        /// Sender of messages that have none. Since 0.1.
        default_from: Option<String> = None, Live where if_set(is_sender());
        /// Senders that may be used, others are refused with `sender_denied`: `*` stands for any characters, `?` for one; empty or
        /// absent: all. Since 0.1.
        senders: Vec<SenderPattern> = Vec::new(), Live;
        /// Sender of all messages, whatever they ask for. Since 0.1.
        override_from: Option<String> = None, Live where if_set(is_sender());
        /// Whether a sender may be a name; `false`: `sender_denied`. Since 0.1.
        alphanumeric_from: bool = true, Live;
        /// Lists (`[list.<name>]`) of destinations that are refused with `destination_denied`. Since 0.1.
        deny_to: Vec<ListName> = Vec::new(), Live;
        /// Lists of destinations; when there are any, all others are refused with `destination_denied`. Since 0.1.
        allow_to: Vec<ListName> = Vec::new(), Live;
        /// Regular expressions; a text that one of them is found in is refused with `content_denied`. Since 0.1.
        deny_text: Vec<TextPattern> = Vec::new(), Live;
        /// Characters of a text at most, above it `content_denied`; absent: as many as its parts hold. Since 0.1.
        max_chars: Option<u32> = None, Live where if_set(between(1, 100_000));
        /// Encodings that are allowed, others are refused with `content_denied`; empty or absent: all. Since 0.1.
        encodings: Vec<Encoding> = Vec::new(), Live;
        /// Whether a phone that opted out of this client, or of the sender, is refused with `opted_out`. Since 0.1.
        opt_out: bool = false, Live;
        /// Class of messages that name none. Since 0.1.
        class: Class = Class::Transactional, Live;
        /// Reports for messages that do not say; absent: `final` over HTTP, as registered_delivery asks over SMPP. Since 0.1.
        report: Option<Report> = None, Live;
        /// Parts of one message at most; absent: `limits.max_parts`. Since 0.1.
        max_parts: Option<u8> = None, Live where if_set(between(1, 255));
        /// Parts per second that are admitted over both faces together, above it `429 rate_limited`; 0 = unlimited. Since 0.1.
        rate: f64 = 0.0, Live where between(0.0, 1_000_000.0);
        /// Parts that are admitted at once after a pause; absent: one second's worth. A message of more parts waits for all of them
        /// and is then admitted. Since 0.1.
        burst: Option<u32> = None, Live where if_set(between(1, 1_000_000));
        /// Age at which an event of the inbox is dropped; absent: `inbox.expiry`. Since 0.1.
        inbox_expiry: Option<Duration> = None, Live where if_set(between(Duration::from_secs(60), Duration::from_secs(400 * 86_400)));
        /// Events kept in the inbox; absent: `inbox.max_events`. Since 0.1.
        inbox_max_events: Option<u32> = None, Live where if_set(between(1, 100_000_000));
        /// Parts that are admitted in one day, above it `429 quota_exceeded`; 0 = unlimited. Since 0.1.
        quota_day: u64 = 0, Live where between(0, 1_000_000_000_000);
        /// Parts that are admitted in one calendar month, above it `429 quota_exceeded`; 0 = unlimited. Since 0.1.
        quota_month: u64 = 0, Live where between(0, 1_000_000_000_000);
        /// IANA name of the zone in which the days and months of quotas begin; absent: `smpp.time_zone`, which is UTC unless set.
        /// Since 0.1.
        time_zone: Option<String> = None, Live where if_set(known_zone());
        /// Whether the account pays before it sends. Since 0.1.
        credit: CreditSection = CreditSection::default(), Live;
        /// Whether accepted messages and MO of the client get a number each, without a gap, and by what. Since 0.1.
        number: Numbering = Numbering::None, Live;
        /// After so long without a message the numbers of a conversation begin anew. Those of a client never do. Since 0.1.
        number_kept: Duration = Duration::from_secs(400 * 86_400), Live where between(Duration::from_secs(86_400), Duration::from_secs(4_000 * 86_400));
        /// Whether texts of the client's messages may be stored and searched; absent: `history.store_text`. Since 0.1.
        store_text: Option<bool> = None, Live;
        /// SMPP binds at once; 0 = unlimited. Since 0.1.
        max_binds: u32 = 0, Live where between(0, 100_000);
        /// Unanswered requests per bind; absent: `smpp.window`. Since 0.1.
        window: Option<u32> = None, Live where if_set(between(1, 10_000));
        /// How the account is served over SMPP. Since 0.1.
        smpp: ClientSmpp = ClientSmpp::default(), Live;
    }
}

impl Client {
    /// Where the password comes from; `None` when the account has none or only a hash.
    pub fn password_source(&self) -> Option<SecretSource> {
        SecretSource::of(self.password.as_ref(), self.password_file.as_ref())
    }
}

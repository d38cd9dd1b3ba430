//! The configuration of the gateway as a value: schema, defaults, validation, and what a change means.
//!
//! Text goes in through [`Config::parse`], which answers with a whole [`Config`] or with every problem of the text at
//! once. [`ConfigDiff::between`] says what a change touches. No files are read here and no clock: a secret kept in a
//! file is named by [`Config::secret_files`] and put in by [`Config::fill_secret`], the numbers of a list by
//! [`Config::list_files`] and [`Config::fill_list`]. Knows no node and no engine.
//!
//! Invariant CF-1: a `Config` that `parse` returned has passed every check of this crate.
//! Invariant CF-2: no `Debug`, problem or diff of this crate contains a secret.

#[macro_use]
mod section;

mod check;
mod check_admin;
mod check_admission;
mod check_callback;
mod check_calls;
mod check_history;
mod check_http;
mod check_mo;
mod check_routes;
mod diff;
mod env;
pub mod handle;
mod json_schema;
mod lifetimes;
mod mask;
mod merge;
mod parse;
mod problem;
mod reader;
mod routes;
mod rules;
pub mod schema;
mod secrets;
mod sources;
mod status;
mod types;
mod value;

pub use diff::{Area, Change, ChangeKind, ConfigDiff, Impact};
pub use env::Environment;
pub use handle::{ConfigHandle, Snapshot};
pub use json_schema::json_schema;
pub use mask::masked_line;
pub use parse::{CheckCertificates, Inputs, ReadList, ReadPorted, ReadSecret};
pub use problem::{Code, Problem};
pub use schema::admission::{
    AdmissionSection, ListEntry, ListFile, ListName, NumberList, PriceSection, SenderSection, TextPattern,
};
pub use schema::callback::CallbackSection;
pub use schema::calls::CarrierCalls;
pub use schema::cdr::{CdrColumn, CdrCompression, CdrFormat, CdrNumbers, CdrSection};
pub use schema::client::Client;
pub use schema::client_callback::{
    CallbackField, CallbackFormat, CallbackPolicy, CallbackTls, HeaderName, HostPattern, ParameterName,
    Piece, Template,
};
pub use schema::content::{
    Addresses, ClassForm, ClientOption, DataCodings, LongMessages, Priorities, SenderAlphabet, TlvRange,
    TlvTag, TlvValue, TonNpi,
};
pub use schema::credit::{ChargeWhen, CreditKind, CreditSection, Numbering, Unpriced};
pub use schema::history::{HistoryKind, HistorySection};
pub use schema::http_carrier::{
    CarrierField, CarrierPiece, CarrierTemplate, EncodingWords, HttpAuth, HttpCarrier, HttpInbound,
    HttpMethod, InboundAuth, InboundMo, InboundReceipt, Picker, SignatureForm,
};
pub use schema::inbox::InboxSection;
pub use schema::key::{ApiKey, Scope};
pub use schema::keywords::{KeywordAct, KeywordLanguage, KeywordScope, KeywordSet, Keywords};
pub use schema::node::{
    AdminSection, ClientCert, EngineKind, EngineSection, HttpSection, LimitsSection, LogFormat, LogLevel,
    LogSection, NodeSection, Role, SmppSection,
};
pub use schema::operator::{
    Alphabet, BindMode, CertificateCheck, Closing, InDoubt, InterfaceVersion, LinkWish, LongReceipts,
    MessageIds, NumberFormat, Operator, Protocol, ReceiptState, Receipts, StateWord, TlsSection, Unflagged,
    ValidityFormat,
};
pub use schema::route::{
    CostSection, Failover, MnpSection, MoMode, MoRoute, MtRoute, PortedFile, Reject, Routes, Strategy,
};
pub use schema::smpp::{ClientMessageId, ClientSmpp, DeliverWith, LongDeliveries};
pub use schema::{Config, key_table};
pub use secrets::{CallbackSecret, SecretFile, SecretPlace};
pub use section::KeyInfo;
pub use sources::{ReadInclude, Source, Sources};
pub use status::{HTTP_BASE, HTTP_CODE_BASE, StatusRange, UCP_BASE};
pub use types::{
    ByteSize, CallbackUrl, Digits, HostPort, Ladder, LogFilter, ReceiptWord, Rung, Secret, SecretSource,
    Sha256Digest, SpkiPin, duration_from_text,
};

//! The sections of the file and their defaults (design section 9).
//!
//! One file per face of the gateway; each key is declared once, with meaning, unit, range, default and the cost of a
//! change. Must not know how the text is read or how problems are shown.
//! Invariant: an empty optional section and an absent one mean the same.

use std::collections::BTreeMap;

use crate::section::KeyInfo;
use crate::types::{ClientId, OperatorId};
use crate::value::Value;

pub mod admission;
pub mod callback;
pub mod calls;
pub mod cdr;
pub mod client;
pub mod client_callback;
pub mod content;
pub mod credit;
pub mod history;
pub mod http_carrier;
pub mod inbox;
pub mod key;
pub mod keywords;
pub mod node;
pub mod operator;
pub mod route;
pub mod smpp;

section! {
    /// The whole file.
    Config {
        /// More files of this configuration, each counted from the directory of the file that names it: `operators/*.toml`. `*` and `?`
        /// stand for characters of one name that does not begin with a dot. Files are joined: sections may be spread over them,
        /// `[[lists]]` are appended in the order of the files, by name within one pattern, and a key stands in one of them only. Since 0.1.
        include: Vec<String> = Vec::new(), Live;
        /// This process: its name, where its data is, which nodes it runs. Since 0.1.
        node: node::NodeSection = Default::default(), Restart [required];
        /// The administrator's face: metrics, health, admin API. Since 0.1.
        admin: node::AdminSection = Default::default(), Restart;
        /// The HTTP API for clients. Since 0.1.
        http: node::HttpSection = Default::default(), Restart;
        /// The SMPP server for clients. Since 0.1.
        smpp: node::SmppSection = Default::default(), Restart;
        /// How reports and MO are posted to clients. Since 0.1.
        callback: callback::CallbackSection = Default::default(), Live;
        /// Reports and MO that wait for clients without callback and binds. Since 0.1.
        inbox: inbox::InboxSection = Default::default(), Live;
        /// Call detail records, a line of a file for each event. Since 0.1.
        cdr: cdr::CdrSection = Default::default(), Restart;
        /// The life of messages in SQL, for searches and traces. Since 0.1.
        history: history::HistorySection = Default::default(), Restart;
        /// What is written to standard error. Since 0.1.
        log: node::LogSection = Default::default(), Live;
        /// Where queues and state live. Since 0.1.
        engine: node::EngineSection = Default::default(), Restart;
        /// Bounds and lifetimes that hold for all. Since 0.1.
        limits: node::LimitsSection = Default::default(), Live;
        /// What all clients are held to at the accept. Since 0.1.
        admission: admission::AdmissionSection = Default::default(), Live;
        /// Lists of numbers and prefixes by name. Since 0.1.
        list: BTreeMap<admission::ListName, admission::NumberList> = BTreeMap::new(), Live;
        /// Carrier accounts by name. Since 0.1.
        operator: BTreeMap<OperatorId, operator::Operator> = BTreeMap::new(), Relink;
        /// Client accounts by name. Since 0.1.
        client: BTreeMap<ClientId, client::Client> = BTreeMap::new(), Live;
        /// Routes in both directions. Since 0.1.
        route: route::Routes = Default::default(), Live;
        /// Words of phones that mean stop, start and help. Since 0.1.
        keywords: keywords::Keywords = Default::default(), Live;
        /// Numbers that were ported to another network. Since 0.1.
        mnp: route::MnpSection = Default::default(), Live;
        /// What a part costs at each operator. Since 0.1.
        cost: Vec<route::CostSection> = Vec::new(), Live;
        /// Senders by destination. Since 0.1.
        sender: Vec<admission::SenderSection> = Vec::new(), Live;
        /// Prices by destination. Since 0.1.
        price: Vec<admission::PriceSection> = Vec::new(), Live;
    }
}

/// Every key of the file, in the order of the sections.
pub fn key_table() -> Vec<KeyInfo> {
    let mut out = Vec::new();
    Config::rows("", &mut out);
    out
}

//! The options of SMPP load.

use super::mix::MixItem;
use super::pace::Plan;
use crate::span;
use std::time::Duration;

/// How a long message is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LongForm {
    /// Parts with a user data header.
    #[default]
    Udh,
    /// Parts with SAR parameters.
    Sar,
    /// Whole, in message_payload.
    Payload,
}

/// How clients bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LoadBind {
    /// Transceivers.
    #[default]
    Transceiver,
    /// Transmitters, and one receiver per client.
    Pair,
}

/// Submits over SMPP.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SmppLoad {
    /// `host:port`.
    #[arg(long)]
    pub host: String,
    /// Account; `*` stands for the number of the client, from 1.
    #[arg(long, default_value = "test")]
    pub system_id: String,
    /// Its password.
    #[arg(long, default_value = "test")]
    pub password: String,
    /// Clients (accounts).
    #[arg(long, default_value_t = 1)]
    pub clients: usize,
    /// Submitting binds at once, per client.
    #[arg(long, default_value_t = 1)]
    pub binds: usize,
    /// How clients bind.
    #[arg(long = "bind-as", value_enum, default_value_t = LoadBind::Transceiver)]
    pub bind: LoadBind,
    /// interface_version of binds.
    #[arg(long, default_value_t = 0x34, value_parser = span::octet)]
    pub interface_version: u8,
    /// Unanswered submits per bind at most: with a rate a bound, without one what keeps the load going.
    #[arg(long, default_value_t = 10)]
    pub window: usize,
    /// How much and how fast.
    #[command(flatten)]
    pub plan: Plan,
    /// Characters of the text, 17 of them the token.
    #[arg(long, default_value_t = 100)]
    pub text_length: usize,
    /// Kinds and lengths by weight instead: `gsm:100=70,ucs2:50=20,gsm:400=10`.
    #[arg(long, value_delimiter = ',')]
    pub mix: Vec<MixItem>,
    /// How long messages are submitted.
    #[arg(long, value_enum, default_value_t = LongForm::Udh)]
    pub long: LongForm,
    /// From.
    #[arg(long, default_value = "12345")]
    pub from: String,
    /// Recipients: this and eight digits of the number of the message. Several by commas: in turn.
    #[arg(long, default_value = "49170")]
    pub to_prefix: String,
    /// Different recipients; 0: each message has its own.
    #[arg(long, default_value_t = 0)]
    pub recipients: u32,
    /// registered_delivery.
    #[arg(long, default_value_t = 0)]
    pub registered_delivery: u8,
    /// An answer later than this is no answer: the submit is in doubt.
    #[arg(long, value_parser = span::parse, default_value = "30s")]
    pub timeout: Duration,
    /// Connect again, so often in a row at most, when a connection is lost; 0: give up.
    #[arg(long, default_value_t = 0)]
    pub reconnects: u32,
    /// Time between two attempts.
    #[arg(long, value_parser = span::parse, default_value = "500ms")]
    pub reconnect_after: Duration,
    /// How long to stay bound for receipts and MO after the last answer.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    pub linger: Duration,
    /// Unbind earlier, once there is a receipt for each submit that was accepted; ask for receipts that are final only.
    #[arg(long)]
    pub until_receipts: bool,
    /// Answer this share of deliveries with ESME_RX_T_APPN.
    #[arg(long, default_value_t = 0.0)]
    pub refuse_deliveries: f64,
}

impl SmppLoad {
    /// To that server, and the defaults of the command line.
    #[must_use]
    pub fn new(host: impl Into<String>, plan: Plan) -> Self {
        Self {
            host: host.into(),
            system_id: "test".into(),
            password: "test".into(),
            clients: 1,
            binds: 1,
            bind: LoadBind::Transceiver,
            interface_version: 0x34,
            window: 10,
            plan,
            text_length: 100,
            mix: Vec::new(),
            long: LongForm::Udh,
            from: "12345".into(),
            to_prefix: "49170".into(),
            recipients: 0,
            registered_delivery: 0,
            timeout: Duration::from_secs(30),
            reconnects: 0,
            reconnect_after: Duration::from_millis(500),
            linger: Duration::ZERO,
            until_receipts: false,
            refuse_deliveries: 0.0,
        }
    }
}

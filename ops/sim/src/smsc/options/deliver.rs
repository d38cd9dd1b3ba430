//! How deliveries and other requests of the carrier look on the wire.

use serde::{Deserialize, Serialize};

/// Numbers of the carrier's requests (quirk 24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequences {
    /// From 1 upwards.
    #[default]
    Proper,
    /// Always 0; one delivery at a time.
    Zero,
    /// 1 to 8, again and again; eight deliveries at a time.
    Restarted,
    /// Above 0x7FFFFFFF.
    High,
}

/// What follows a deliver_sm inside its command_length (quirk 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Nothing.
    #[default]
    Proper,
    /// A NUL after short_message, before any TLV.
    Nul,
    /// A TLV whose length says more than there is.
    TruncatedTlv,
    /// Half the head of a TLV.
    HalfTlv,
}

/// Deliveries: quirks 16, 19, 20 and 24.
#[derive(Debug, Clone, PartialEq, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverQuirks {
    /// Numbers of the carrier's requests (quirk 24).
    #[arg(id = "sequences", long = "sequences", value_enum, default_value_t = Sequences::Proper)]
    pub sequences: Sequences,
    /// What follows a deliver_sm (quirk 19).
    #[arg(id = "deliver-tail", long = "deliver-tail", value_enum, default_value_t = Tail::Proper)]
    pub tail: Tail,
    /// A service_type of 20 characters and zeros before the sender up to 30 (quirk 20).
    #[arg(id = "overlong-deliver-strings", long = "overlong-deliver-strings")]
    pub overlong_strings: bool,
    /// Share of deliver_sm_resp that the carrier loses: it sends the delivery again after `deliver-timeout` (quirk 16).
    #[arg(
        id = "lost-delivery-answers",
        long = "lost-delivery-answers",
        default_value_t = 0.0
    )]
    pub lost_answers: f64,
    /// Send alert_notification after every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub alert_every: u64,
    /// Send a PDU with an unknown command_id after every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub unknown_every: u64,
    /// Send a command_length that cannot be followed after every so many-th submit; 0: never.
    #[arg(long, default_value_t = 0)]
    pub bad_length_every: u64,
}

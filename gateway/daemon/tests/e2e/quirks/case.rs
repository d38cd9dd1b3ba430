//! What one carrier does, what is sent through it, and what has to come of it.

use serde_json::{Value, json};

/// A text whose characters carriers disagree about.
pub(super) const TEXT: &str = "Gruesse @ _ $ \u{20ac} \u{e9}\u{e8}\u{fc}\u{f1}";

/// How often something is counted by the gateway in the end, with the label `operator` and these.
#[derive(Debug, Clone)]
pub(super) struct Count {
    pub(super) name: &'static str,
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// One carrier with its habit.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Changes to the options of `smsgw sim smsc`.
    pub(super) carrier: Value,
    /// Lines of the operator's section.
    pub(super) operator: Vec<&'static str>,
    /// Messages of one part and of several.
    pub(super) short: usize,
    pub(super) long: usize,
    pub(super) from: &'static str,
    /// The state that each ends in, and whether it is final.
    pub(super) ends: &'static str,
    /// Messages from phones: a batch of `smsgw sim smsc`.
    pub(super) phones: Option<Value>,
    /// The sender that the client is told.
    pub(super) phone: Option<&'static str>,
    /// Cut all connections once everything was answered; send so many messages more then.
    pub(super) cut: Option<usize>,
    /// Submits may be repeated, as far as the gateway was in doubt about them.
    pub(super) may_repeat: bool,
    /// No receipt can come: `sent` is told as the end.
    pub(super) sent_is_final: bool,
    /// The carrier refuses the messages.
    pub(super) refused: bool,
    pub(super) counts: Vec<Count>,
}

/// A carrier that takes two short messages and a long one, and has them delivered.
pub(super) fn case(name: &'static str) -> Case {
    Case {
        name,
        carrier: json!({}),
        operator: Vec::new(),
        short: 2,
        long: 1,
        from: "12345",
        ends: "delivered",
        phones: None,
        phone: None,
        cut: None,
        may_repeat: false,
        sent_is_final: false,
        refused: false,
        counts: Vec::new(),
    }
}

impl Case {
    pub(super) fn carrier(self, carrier: Value) -> Self {
        Self { carrier, ..self }
    }

    pub(super) fn operator(mut self, line: &'static str) -> Self {
        self.operator.push(line);
        self
    }

    pub(super) fn sends(self, short: usize, long: usize) -> Self {
        Self { short, long, ..self }
    }

    pub(super) fn from(self, from: &'static str) -> Self {
        Self { from, ..self }
    }

    pub(super) fn ends(self, ends: &'static str) -> Self {
        Self { ends, ..self }
    }

    /// Messages from phones and none to them.
    pub(super) fn phones(self, phones: Value) -> Self {
        Self {
            phones: Some(phones),
            ..self.sends(0, 0)
        }
    }

    pub(super) fn phone(self, phone: &'static str) -> Self {
        Self {
            phone: Some(phone),
            ..self
        }
    }

    pub(super) fn cut(self, more: usize) -> Self {
        Self {
            cut: Some(more),
            ..self
        }
    }

    pub(super) fn may_repeat(self) -> Self {
        Self {
            may_repeat: true,
            ..self
        }
    }

    pub(super) fn ends_sent(self) -> Self {
        Self {
            sent_is_final: true,
            ..self.ends("sent")
        }
    }

    pub(super) fn refused(self) -> Self {
        Self {
            refused: true,
            ..self.ends("rejected")
        }
    }

    fn count(
        mut self,
        name: &'static str,
        labels: &[(&'static str, &'static str)],
        least: f64,
        most: f64,
    ) -> Self {
        self.counts.push(Count {
            name,
            labels: labels.to_vec(),
            least,
            most,
        });
        self
    }

    pub(super) fn at_least(
        self,
        least: u32,
        name: &'static str,
        labels: &[(&'static str, &'static str)],
    ) -> Self {
        self.count(name, labels, least.into(), f64::INFINITY)
    }

    pub(super) fn exactly(
        self,
        number: u32,
        name: &'static str,
        labels: &[(&'static str, &'static str)],
    ) -> Self {
        self.count(name, labels, number.into(), number.into())
    }

    /// A departure from the specification that is accepted and counted by its name.
    pub(super) fn tolerated(self, quirk: &'static str) -> Self {
        self.at_least(1, "smsgw_operator_tolerated_total", &[("quirk", quirk)])
    }

    /// No connection is lost over it.
    pub(super) fn stays_bound(self) -> Self {
        self.exactly(0, "smsgw_operator_reconnects_total", &[])
    }
}

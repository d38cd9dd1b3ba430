//! Metric definitions that can stand in a `static` and appear on `/metrics` once they are registered or used.
//!
//! Invariant: a family is registered at most once, under the name, help and labels of its definition. Labels are
//! bounded words (operator, client, reason); never a phone number or a message id.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder,
};
use std::sync::OnceLock;

/// Bucket bounds for latencies, in seconds: 0.5 ms to 60 s.
pub const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// A counter family: `smsgw_<area>_<what>_<unit>_total`.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    family: OnceLock<IntCounterVec>,
}

impl Counter {
    /// Defines the family; nothing is registered yet.
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self {
            name,
            help,
            labels,
            family: OnceLock::new(),
        }
    }

    /// The child with these label values, in the order of the definition. Keep the handle on hot paths.
    ///
    /// # Panics
    /// When the number of values is not that of the definition: a mistake in our own code.
    pub fn with(&self, values: &[&str]) -> IntCounter {
        self.family().with_label_values(values)
    }

    /// Registers the family now; a family without labels is then shown as 0 before its first event.
    pub fn register(&self) {
        let family = self.family();
        if self.labels.is_empty() {
            let zero: &[&str] = &[];
            family.with_label_values(zero);
        }
    }

    fn family(&self) -> &IntCounterVec {
        self.family.get_or_init(|| {
            let family = IntCounterVec::new(Opts::new(self.name, self.help), self.labels)
                .expect("metric names and labels are literals that follow the Prometheus grammar");
            register(Box::new(family.clone()));
            family
        })
    }
}

/// A gauge family.
#[derive(Debug)]
pub struct Gauge {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    family: OnceLock<IntGaugeVec>,
}

impl Gauge {
    /// Defines the family; nothing is registered yet.
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self {
            name,
            help,
            labels,
            family: OnceLock::new(),
        }
    }

    /// The child with these label values, in the order of the definition.
    ///
    /// # Panics
    /// When the number of values is not that of the definition: a mistake in our own code.
    pub fn with(&self, values: &[&str]) -> IntGauge {
        self.family().with_label_values(values)
    }

    /// Takes one child off `/metrics`: its operator, client or queue is gone.
    pub fn remove(&self, values: &[&str]) {
        // An absent child is what the caller wants.
        self.family().remove_label_values(values).ok();
    }

    fn family(&self) -> &IntGaugeVec {
        self.family.get_or_init(|| {
            let family = IntGaugeVec::new(Opts::new(self.name, self.help), self.labels)
                .expect("metric names and labels are literals that follow the Prometheus grammar");
            register(Box::new(family.clone()));
            family
        })
    }
}

/// A histogram family; the unit is in the name (`_seconds`).
#[derive(Debug)]
pub struct Histogram {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [f64],
    family: OnceLock<HistogramVec>,
}

impl Histogram {
    /// Defines the family; nothing is registered yet.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Self {
        Self {
            name,
            help,
            labels,
            buckets,
            family: OnceLock::new(),
        }
    }

    /// The child with these label values, in the order of the definition.
    ///
    /// # Panics
    /// When the number of values is not that of the definition: a mistake in our own code.
    pub fn with(&self, values: &[&str]) -> prometheus::Histogram {
        let family = self.family.get_or_init(|| {
            let opts = HistogramOpts::new(self.name, self.help).buckets(self.buckets.to_vec());
            let family = HistogramVec::new(opts, self.labels)
                .expect("metric names, labels and buckets are literals that follow the Prometheus grammar");
            register(Box::new(family.clone()));
            family
        });
        family.with_label_values(values)
    }
}

fn register(family: Box<dyn prometheus::core::Collector>) {
    prometheus::default_registry()
        .register(family)
        .expect("each metric name is defined once in the workspace");
}

/// Everything registered so far, in the Prometheus text format.
pub fn exposition() -> String {
    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&prometheus::default_registry().gather(), &mut text)
        .expect("writing to a Vec cannot fail");
    String::from_utf8(text).expect("the text encoder writes UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_shows_its_children_and_a_bare_one_shows_zero() {
        static A: Counter = Counter::new("smsgw_test_things_total", "Things.", &["kind"]);
        static B: Counter = Counter::new("smsgw_test_bare_total", "Bare.", &[]);
        static G: Gauge = Gauge::new("smsgw_test_depth", "Depth.", &["queue"]);
        A.with(&["x"]).inc_by(3);
        B.register();
        G.with(&["q"]).set(7);
        let text = exposition();
        assert!(text.contains("smsgw_test_things_total{kind=\"x\"} 3"), "{text}");
        assert!(text.contains("smsgw_test_bare_total 0"), "{text}");
        G.remove(&["q"]);
        assert!(!exposition().contains("smsgw_test_depth{"));
    }
}

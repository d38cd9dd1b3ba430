//! Behaviour that changes with time: phases from a file, or made up by chance from a seed.
//!
//! Reads no clock: times are counted from the start. Invariants: the same seed and level give the same phases; a phase
//! of chaos ends before the next begins and the carrier is proper for at least as long between them, so that everything
//! gets through in the end; statuses of chaos are temporary ones.
//!
//! ```toml
//! repeat = "60s"                      # begin again; absent: once
//! [[phase]]
//! at = "10s"
//! for = "5s"                          # absent: until something else is set
//! set = { throttle = 10, receipt = { text = "bare" } }
//! act = "cut"                         # at its beginning: none, cut, unbind
//! end = "cut"                         # at its end
//! ```

use super::options::{OptionsError, OptionsErrorKind, Protocol, SmscOptions, read_value};
use crate::span;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Where chaos comes from: a level from 1 (a little) to 5 (all the time), or a file of phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChaosArg {
    /// Made up.
    Level(u32),
    /// Written down.
    File(PathBuf),
}

impl FromStr for ChaosArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u32>() {
            Ok(level @ 1..=5) => Ok(Self::Level(level)),
            Ok(level) => Err(format!("level {level} is not one of 1 to 5")),
            Err(_) => Ok(Self::File(text.into())),
        }
    }
}

/// What is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Nothing.
    #[default]
    None,
    /// Cut every connection.
    Cut,
    /// Unbind every session.
    Unbind,
}

/// One change of behaviour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// When it begins.
    #[serde(with = "span::text")]
    pub at: Duration,
    /// How long it lasts; zero: until another one sets something else.
    #[serde(default, rename = "for", with = "span::text")]
    pub lasts: Duration,
    /// Options that are different.
    #[serde(default)]
    pub set: Value,
    /// What is done when it begins.
    #[serde(default)]
    pub act: Act,
    /// What is done when it ends.
    #[serde(default)]
    pub end: Act,
}

/// Phases in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Begin again after so long; zero: never.
    #[serde(default, with = "span::text")]
    pub repeat: Duration,
    /// In the order of their times.
    pub phase: Vec<Phase>,
}

#[derive(Debug)]
enum Source {
    None,
    Script {
        script: Script,
        next: usize,
        round: u32,
    },
    Chance {
        rng: Box<StdRng>,
        level: u32,
        free_at: Duration,
        protocol: Protocol,
    },
}

/// What the carrier shall do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Behave so.
    Options(Box<SmscOptions>),
    /// Do that.
    Act(Act),
}

/// Turns phases into orders.
#[derive(Debug)]
pub struct Director {
    base: SmscOptions,
    start: Instant,
    source: Source,
    /// The phase to come.
    coming: Option<Phase>,
    /// The phase that ends, and when.
    ending: Option<(Duration, Act)>,
    /// Phases so far.
    begun: u64,
}

impl Director {
    /// Without phases: options change by orders from outside only.
    #[must_use]
    pub const fn idle(base: SmscOptions, now: Instant) -> Self {
        Self {
            base,
            start: now,
            source: Source::None,
            coming: None,
            ending: None,
            begun: 0,
        }
    }

    /// With made-up phases or those of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or a phase sets an unknown option.
    pub fn open(base: SmscOptions, chaos: &ChaosArg, seed: u64, now: Instant) -> Result<Self, OptionsError> {
        let source = match chaos {
            ChaosArg::Level(level) => Source::Chance {
                rng: Box::new(StdRng::seed_from_u64(seed ^ 0xC4A0_5000)),
                level: *level,
                free_at: Duration::from_secs(1),
                protocol: base.protocol,
            },
            ChaosArg::File(path) => Source::Script {
                script: read_script(path, &base)?,
                next: 0,
                round: 0,
            },
        };
        let mut director = Self {
            source,
            ..Self::idle(base, now)
        };
        director.coming = director.next_phase();
        Ok(director)
    }

    /// How many phases have begun.
    #[must_use]
    pub const fn begun(&self) -> u64 {
        self.begun
    }

    /// The behaviour between phases.
    #[must_use]
    pub const fn base(&self) -> &SmscOptions {
        &self.base
    }

    /// Changes it from now on; a phase that runs keeps its own options until its end.
    pub fn set_base(&mut self, base: SmscOptions) -> Option<Order> {
        self.base = base;
        self.ending
            .is_none()
            .then(|| Order::Options(Box::new(self.base.clone())))
    }

    /// When [`Self::handle_timeout`] must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let coming = self.coming.as_ref().map(|phase| phase.at);
        let ending = self.ending.map(|(at, _)| at);
        let at = [coming, ending].into_iter().flatten().min()?;
        self.start.checked_add(at)
    }

    /// What is due. Call until `None`; two orders may come at once.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        let since = now.saturating_duration_since(self.start);
        loop {
            let coming = self
                .coming
                .as_ref()
                .map(|phase| phase.at)
                .filter(|at| *at <= since);
            let ending = self.ending.filter(|(at, _)| *at <= since);
            match (coming, ending) {
                (_, Some((at, act))) if coming.is_none_or(|coming| at <= coming) => {
                    self.ending = None;
                    orders.push(Order::Options(Box::new(self.base.clone())));
                    orders.push(Order::Act(act));
                }
                (Some(_), _) => {
                    let Some(phase) = self.coming.take() else { break };
                    self.coming = self.next_phase();
                    self.begin(phase, &mut orders);
                }
                (None, _) => break,
            }
        }
        orders.retain(|order| *order != Order::Act(Act::None));
        orders
    }

    fn begin(&mut self, phase: Phase, orders: &mut Vec<Order>) {
        let changed = match &phase.set {
            Value::Null => Some(self.base.clone()),
            set => self.base.with(set).ok(),
        };
        // Checked when it was read or made.
        let Some(changed) = changed else { return };
        self.begun = self.begun.saturating_add(1);
        if phase.lasts.is_zero() {
            self.base = changed.clone();
        } else {
            self.ending = Some((phase.at.saturating_add(phase.lasts), phase.end));
        }
        orders.push(Order::Options(Box::new(changed)));
        orders.push(Order::Act(phase.act));
    }

    fn next_phase(&mut self) -> Option<Phase> {
        match &mut self.source {
            Source::None => None,
            Source::Script { script, next, round } => {
                if *next >= script.phase.len() {
                    if script.repeat.is_zero() {
                        return None;
                    }
                    *next = 0;
                    *round = round.saturating_add(1);
                }
                let phase = script.phase.get(*next)?.clone();
                *next = next.saturating_add(1);
                let shift = script.repeat.saturating_mul(*round);
                Some(Phase {
                    at: phase.at.saturating_add(shift),
                    ..phase
                })
            }
            Source::Chance {
                rng,
                level,
                free_at,
                protocol,
            } => Some(made_up(rng, *level, *protocol, free_at)),
        }
    }
}

fn read_script(path: &Path, base: &SmscOptions) -> Result<Script, OptionsError> {
    let failed = |kind: OptionsErrorKind| OptionsError {
        path: Some(path.display().to_string()),
        kind,
    };
    let mut script: Script =
        serde_json::from_value(read_value(path)?).map_err(|error| failed(error.into()))?;
    script.phase.sort_by_key(|phase| phase.at);
    for phase in script.phase.iter().filter(|phase| !phase.set.is_null()) {
        base.with(&phase.set).map_err(|error| failed(error.kind))?;
    }
    Ok(script)
}

/// How late an answer is that is late: for peers that wait two seconds, and as long again for what may still come.
const LATE: &str = "2200ms";
/// What goes wrong with every carrier.
const ALWAYS: [&str; 14] = [
    "cut",
    "drops",
    "stall",
    "slow",
    "late",
    "throttle",
    "storm",
    "garbage",
    "silence",
    "lost",
    "refuse",
    "closed",
    "half-dead",
    "early",
];
/// What goes wrong with sessions.
const WITH_SESSIONS: [&str; 2] = ["disorder", "sibling"];
/// What goes wrong with requests.
const WITH_REQUESTS: [&str; 4] = ["resets", "errors", "garbled", "halves"];

/// One phase by chance. `free_at` is the end of the pause after the one before.
fn made_up(rng: &mut StdRng, level: u32, protocol: Protocol, free_at: &mut Duration) -> Phase {
    let strength = f64::from(level);
    let lasts = Duration::from_millis(rng.random_range(200..=800_u64.saturating_mul(level.into())));
    let at = free_at.saturating_add(Duration::from_millis(rng.random_range(0..=1500)));
    // At least as long a pause as the phase took.
    *free_at = at.saturating_add(lasts.saturating_mul(2));
    let millis = |each: u32| span::show(Duration::from_millis(u64::from(each.saturating_mul(level))));
    let of_protocol: &[&str] = match protocol {
        Protocol::Smpp | Protocol::Ucp => &WITH_SESSIONS,
        Protocol::Http => &WITH_REQUESTS,
    };
    let kinds: Vec<&str> = ALWAYS.iter().chain(of_protocol).copied().collect();
    let (mut act, mut end) = (Act::None, Act::None);
    let set = match kinds.choose(rng).copied().unwrap_or("cut") {
        "cut" => {
            act = Act::Cut;
            Value::Null
        }
        "drops" => json!({ "drop_share": 0.002 * strength }),
        "stall" => json!({ "answer_delay": millis(200) }),
        "slow" => json!({ "answer_jitter": millis(100) }),
        "late" => json!({ "answers": { "late_share": 0.02 * strength, "late_after": LATE } }),
        "throttle" => {
            // UCP has one error for it (04); 0x14 would be its error 20, which is final.
            let statuses: &[u32] = match protocol {
                Protocol::Smpp | Protocol::Http => &[0x58, 0x14],
                Protocol::Ucp => &[0x58],
            };
            let status = statuses.choose(rng).copied().unwrap_or(0x58);
            json!({ "throttle": 100 / level.max(1), "throttle_status": status })
        }
        "storm" => json!({ "receipt_delay": millis(400), "duplicate_receipts": 0.1 * strength }),
        "garbage" => json!({
            "malformed_every": 5,
            "deliveries": { "unknown_every": 7, "alert_every": 11, "tail": "truncated-tlv" },
        }),
        "silence" => json!({ "never_answer": 0.002 * strength }),
        "disorder" => {
            json!({ "answers": { "out_of_order": level.saturating_mul(8), "duplicate_answers": 0.02 * strength } })
        }
        "lost" => json!({ "deliver_timeout": "1s", "deliveries": { "lost_answers": 0.05 * strength } }),
        "early" => {
            json!({ "receipt_first": true, "receipt_delay": "0ms", "receipt_jitter": "0ms", "answer_delay": millis(40) })
        }
        "sibling" => json!({ "receipt": { "bind": "other" } }),
        "refuse" => {
            act = Act::Cut;
            json!({ "refuse_binds": 0x0d })
        }
        "closed" => {
            act = Act::Cut;
            json!({ "binds": { "refuse_connections": true } })
        }
        "resets" => json!({ "http": { "resets": 0.05 * strength } }),
        "errors" => json!({ "http": { "errors": 0.1 * strength } }),
        "garbled" => json!({ "http": { "garbled_answers": 0.02 * strength } }),
        "halves" => json!({ "http": { "half_answers": 0.02 * strength } }),
        _ => {
            // What it swallows was never accepted; the cut ends the wait.
            end = Act::Cut;
            json!({ "binds": { "half_dead_after": 1 } })
        }
    };
    Phase {
        at,
        lasts,
        set,
        act,
        end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Clock;
    use smsgw_runtime::SystemClock;

    fn orders(director: &mut Director, until: Duration) -> Vec<(Duration, Vec<Order>)> {
        let mut all = Vec::new();
        while let Some(at) = director.poll_timeout() {
            let since = at.saturating_duration_since(director.start);
            if since > until {
                break;
            }
            all.push((since, director.handle_timeout(at)));
        }
        all
    }

    #[test]
    fn the_same_seed_makes_the_same_chaos_and_it_leaves_pauses() {
        let start = SystemClock.instant();
        let minutes = Duration::from_secs(300);
        let made = |level, seed| {
            let base = SmscOptions::default();
            let mut director = Director::open(base, &ChaosArg::Level(level), seed, start).unwrap();
            orders(&mut director, minutes)
        };
        assert_eq!(made(3, 7), made(3, 7));
        assert_ne!(made(3, 7), made(3, 8));
        for level in 1..=5 {
            let base = SmscOptions::default();
            let (mut proper, mut since, mut is_proper) = (Duration::ZERO, Duration::ZERO, true);
            let all = made(level, 1);
            for (at, orders) in &all {
                if is_proper {
                    proper += *at - since;
                }
                since = *at;
                for order in orders {
                    if let Order::Options(options) = order {
                        is_proper = **options == base;
                    }
                }
            }
            assert!(all.len() > 40, "level {level}: {} orders", all.len());
            assert!(proper > minutes / 3, "level {level}: proper for {proper:?}");
        }
    }

    #[test]
    fn a_carrier_throttles_with_what_its_protocol_says_for_it() {
        let statuses = |protocol| -> std::collections::BTreeSet<u64> {
            let phases = (0..2_000).map(|seed| {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut free_at = Duration::ZERO;
                made_up(&mut rng, 3, protocol, &mut free_at)
            });
            phases
                .filter_map(|phase| phase.set["throttle_status"].as_u64())
                .collect()
        };
        assert_eq!(statuses(Protocol::Smpp), [0x14, 0x58].into());
        assert_eq!(statuses(Protocol::Ucp), [0x58].into());
    }

    #[test]
    fn a_script_is_followed_to_the_second_and_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script.toml");
        let text = "repeat = \"60s\"\n[[phase]]\nat = \"10s\"\nfor = \"5s\"\nset = { throttle = 10 }\nact = \"cut\"\n\
                    [[phase]]\nat = \"20s\"\nset = { receipt = { text = \"bare\" } }\n";
        std::fs::write(&path, text).unwrap();
        let arg: ChaosArg = path.to_str().unwrap().parse().unwrap();
        let start = SystemClock.instant();
        let mut director = Director::open(SmscOptions::default(), &arg, 1, start).unwrap();
        let all = orders(&mut director, Duration::from_secs(70));
        let seconds: Vec<u64> = all.iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(seconds, [10, 15, 20, 70]);
        let [Order::Options(throttled), Order::Act(Act::Cut)] = &all[0].1[..] else {
            panic!("{all:?}")
        };
        assert_eq!(throttled.throttle, 10);
        assert_eq!(all[1].1, [Order::Options(Box::default())]);
        let [Order::Options(bare)] = &all[2].1[..] else {
            panic!("{all:?}")
        };
        assert_eq!(bare.receipt.text, super::super::options::ReceiptText::Bare);
        let [Order::Options(both), _] = &all[3].1[..] else {
            panic!("{all:?}")
        };
        assert_eq!((both.throttle, both.receipt.text), (10, bare.receipt.text));
    }

    #[test]
    fn a_script_with_an_unknown_option_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script.toml");
        std::fs::write(&path, "[[phase]]\nat = \"1s\"\nset = { trottle = 1 }\n").unwrap();
        let arg = ChaosArg::File(path);
        let start = SystemClock.instant();
        assert!(Director::open(SmscOptions::default(), &arg, 1, start).is_err());
        assert!("6".parse::<ChaosArg>().is_err() && "0".parse::<ChaosArg>().is_err());
    }
}

//! Why a message from a phone goes where it goes, for the administrator: every route, who gets it, what it is answered.
//!
//! Goes the way of the worker: the same plan, the same table, the same `ruling`. Invariant EX-1: what is said here is what
//! `mo` writes for a message that came whole at that time. Reads no state and writes nothing; texts and numbers stand only in the
//! answer.
//!
//! # Limits
//! How often the phone was answered is not looked at here, nor what the client node says of the answer: who asks adds that.

use crate::plan::Plan;
use crate::reply::Answer;
use crate::ruling::{self, Place, Taker, Written};
use serde::{Deserialize, Serialize};
use smsgw_config::Snapshot;
use smsgw_message::{Address, AddressError, KeywordAction, LinkGroup, OperatorId, Timestamp, names};
use smsgw_queue::DeadReason;
use smsgw_routing::{MoMode, MoQuestion, MoSeen, MoVerdict, RouteError, Spoken, SpokenBy, explain_mo};
use std::sync::Arc;

/// A message that no phone has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoAsked {
    /// From this phone.
    pub from: Address,
    /// To this number.
    pub to: Address,
    /// By this operator; it need not be configured.
    pub operator: OperatorId,
    /// Its text; absent: binary content, which has no keyword and in which no `text` is found.
    pub text: Option<String>,
    /// When it comes.
    pub at: Timestamp,
}

impl MoAsked {
    /// A phone or number as people write it: digits with or without `+`, a short code, a name.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn address(text: &str) -> Result<Address, AddressError> {
        Address::msisdn(text).or_else(|_| Address::sender(text))
    }
}

/// What would become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoExplained {
    /// The phone, in the form in which routes see it.
    pub from: String,
    /// The number it wrote to.
    pub to: String,
    /// Over which operator.
    pub operator: String,
    /// Whether there is such an operator.
    pub operator_is_known: bool,
    /// When, RFC 3339.
    pub at: String,
    /// Country of the phone, ISO 3166-1.
    pub country: Option<String>,
    /// The first word, as it is compared with keywords.
    pub word: Option<String>,
    /// The route that is taken, counted from 1 as in the file.
    pub route: Option<usize>,
    /// `one`, `all` or `failover`.
    pub mode: Option<String>,
    /// Queue and reason of the dead letter that it becomes: no route takes it.
    pub dead_letter: Option<(String, String)>,
    /// Who gets it.
    pub clients: Vec<MoTaker>,
    /// What the phone is answered.
    pub reply: Option<MoReplied>,
    /// Every route in the order of the file.
    pub routes: Vec<MoRouteSeen>,
}

/// A client that gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoTaker {
    /// Its name.
    pub client: String,
    /// `callback`, `binds`, `inbox`, or `dead_letter` where there is no such account.
    pub place: String,
    /// The class of the queue it waits in.
    pub class: String,
    /// What the phone says to it by the whole message.
    pub keyword: Option<MoSaid>,
}

/// A whole message that is one of the words of `[keywords]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoSaid {
    /// `opt_out`, `opt_in` or `help`.
    pub action: String,
    /// The word, as it stands in its set.
    pub word: String,
    /// Where it stands: `set 1` of the file, or the language whose words are built in.
    pub by: String,
    /// How far an opt-out goes: `client`, `sender` or `number`.
    pub scope: String,
    /// Entries of the list of opt-outs that are made (by an opt-out) or taken away (by an opt-in).
    pub entries: usize,
    /// Whether the account is held to the list (`opt_out = true`).
    pub heeded: bool,
}

/// What the phone is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoReplied {
    /// In whose name.
    pub client: String,
    /// `route` or `keyword`.
    pub by: String,
    /// The text.
    pub text: String,
    /// Its sender.
    pub from: String,
    /// Its class; absent: the account's.
    pub class: Option<String>,
    /// `asked`; `no_phone` (a name or short code wrote) or `own_text` (one of our own answers) when nothing is sent.
    pub answer: String,
    /// So many at most from this number to this phone within `period_seconds`.
    pub max: u32,
    /// The period of `max`.
    pub period_seconds: u64,
    /// It confirms an opt-out, and goes though the phone wants no messages.
    pub confirms_opt_out: bool,
}

/// What came of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoRouteSeen {
    /// Counted from 1 as in the file.
    pub route: usize,
    /// Its priority.
    pub priority: u32,
    /// `taken`, `behind` (it holds, and another comes before it) or `fails`.
    pub verdict: String,
    /// The criterion that does not hold.
    pub criterion: Option<String>,
    /// By which of its values it holds.
    pub met: MoHeld,
}

/// The values of a route that a message met, as they are written; absent where the route asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoHeld {
    /// Of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of `keyword` and `synonyms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// Of `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// Says what would become of a message by a configuration. Walks over all routes: for people, not for traffic.
///
/// # Errors
/// When no table can be built from its routes.
pub fn explain(snapshot: &Snapshot, asked: &MoAsked) -> Result<MoExplained, RouteError> {
    Ok(explain_by(&Plan::of(snapshot, Arc::default())?, asked))
}

/// The same by a plan.
pub(crate) fn explain_by(plan: &Plan, asked: &MoAsked) -> MoExplained {
    let question = MoQuestion {
        operator: &asked.operator,
        from: &asked.from,
        to: &asked.to,
        text: asked.text.as_deref(),
        at: asked.at,
    };
    let found = explain_mo(plan.table(), question);
    let mut explained = MoExplained {
        from: asked.from.as_str().to_owned(),
        to: asked.to.as_str().to_owned(),
        operator: asked.operator.to_string(),
        operator_is_known: plan.operator(&asked.operator).is_some(),
        at: asked.at.to_string(),
        country: found.country.map(|country| country.to_string()),
        word: found.word,
        routes: (1..).zip(&found.routes).map(seen).collect(),
        ..MoExplained::default()
    };
    let Ok(decision) = found.decision else {
        let queue = names::up(&LinkGroup::of(&asked.operator));
        let reason = DeadReason::NoRoute.as_str();
        explained.dead_letter = Some((queue, reason.to_owned()));
        return explained;
    };
    let written = Written {
        from: &asked.from,
        to: &asked.to,
        text: asked.text.as_deref(),
        is_whole: true,
    };
    let ruling = ruling::rule(plan, &decision, written);
    explained.route = Some(decision.route);
    let mode = match decision.mode {
        MoMode::One => "one",
        MoMode::All => "all",
        MoMode::Failover => "failover",
    };
    explained.mode = Some(mode.to_owned());
    explained.clients = ruling.takers.iter().map(|taker| told(plan, taker)).collect();
    explained.reply = ruling.reply.map(|wanted| MoReplied {
        client: wanted.client.to_string(),
        by: wanted.keyword.map_or("route", |_| "keyword").to_owned(),
        text: wanted.reply.text.clone(),
        from: wanted
            .reply
            .from
            .clone()
            .unwrap_or_else(|| asked.to.as_str().to_owned()),
        class: wanted.reply.class.map(|class| class.as_str().to_owned()),
        answer: wanted.answer.as_str().to_owned(),
        max: wanted.reply.max,
        period_seconds: wanted.reply.period.as_secs(),
        confirms_opt_out: wanted.keyword == Some(KeywordAction::OptOut),
    });
    explained
}

impl MoReplied {
    /// Whether the client node is asked for it.
    pub fn is_asked(&self) -> bool {
        self.answer == Answer::Asked.as_str()
    }
}

fn told(plan: &Plan, taker: &Taker<'_>) -> MoTaker {
    let place = match taker.place {
        Place::Callback(_) => "callback",
        Place::Binds => "binds",
        Place::Inbox => "inbox",
        Place::Nobody => "dead_letter",
    };
    let said = |spoken: Spoken<'_>| MoSaid {
        action: match spoken.action {
            KeywordAction::OptOut => "opt_out",
            KeywordAction::OptIn => "opt_in",
            KeywordAction::Help => "help",
        }
        .to_owned(),
        word: spoken.word.to_owned(),
        by: match spoken.by {
            SpokenBy::Set(number) => format!("set {number}"),
            SpokenBy::BuiltIn(language) => language.as_str().to_owned(),
        },
        scope: spoken.scope.as_str().to_owned(),
        entries: crate::keywords::entries(&spoken).len(),
        heeded: plan.heeds_opt_outs(taker.client),
    };
    MoTaker {
        client: taker.client.to_string(),
        place: place.to_owned(),
        class: plan.class(taker.client).as_str().to_owned(),
        keyword: taker.spoken.map(said),
    }
}

fn seen((number, seen): (usize, &MoSeen<'_>)) -> MoRouteSeen {
    let (route, met) = (seen.route, seen.met);
    let (verdict, criterion) = match seen.verdict {
        MoVerdict::Taken => ("taken", None),
        MoVerdict::Behind => ("behind", None),
        MoVerdict::Fails(criterion) => ("fails", Some(criterion.as_str().to_owned())),
    };
    let text = |text: &str| text.to_owned();
    MoRouteSeen {
        route: number,
        priority: route.priority,
        verdict: verdict.to_owned(),
        criterion,
        met: MoHeld {
            to: met.to.and_then(|n| Some(text(route.to.get(n)?.as_str()))),
            keyword: met.keyword.and_then(|n| Some(text(route.keywords.get(n)?))),
            from: met.from.and_then(|n| Some(text(route.from.get(n)?.as_str()))),
            text: met.text.and_then(|n| Some(text(route.texts.get(n)?.as_str()))),
            time: met.time.and_then(|n| Some(text(route.times.get(n)?.as_str()))),
        },
    }
}

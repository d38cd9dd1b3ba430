//! What is decided of a whole message from a phone, before anything is written: who gets it where, what the phone wants by it,
//! what it is answered.
//!
//! `mo` does what is decided here, `explain` shows it: there is no second way to the answer. Pure; knows no engine. Invariant RU-1:
//! each client of the decision is there once, and at most one answer.

use crate::plan::{Plan, Target};
use crate::reply::{self, Answer};
use smsgw_message::{Address, ClientId, KeywordAction};
use smsgw_routing::{AutoReply, MoDecision, MoMode, Spoken};

/// A message as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The phone.
    pub(crate) from: &'a Address,
    /// The number it wrote to.
    pub(crate) to: &'a Address,
    /// Absent for binary content.
    pub(crate) text: Option<&'a str>,
    /// No part of it is missing: half a message is no keyword.
    pub(crate) is_whole: bool,
}

/// Where a client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `down.callback`, to this URL.
    Callback(String),
    /// `down.smpp`.
    Binds,
    /// Its inbox.
    Inbox,
    /// Nowhere: there is no such account. A dead letter of `down.callback`.
    Nobody,
}

/// A client that gets it.
#[derive(Debug)]
pub(crate) struct Taker<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) place: Place,
    /// What the phone says to this client by it.
    pub(crate) spoken: Option<Spoken<'a>>,
}

/// What the phone is answered.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// In whose name.
    pub(crate) client: &'a ClientId,
    pub(crate) reply: &'a AutoReply,
    /// The keyword that is answered; absent: the route answers.
    pub(crate) keyword: Option<KeywordAction>,
    /// Whether it goes out, as far as addresses and texts tell.
    pub(crate) answer: Answer,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Ruling<'a> {
    pub(crate) takers: Vec<Taker<'a>>,
    pub(crate) reply: Option<Reply<'a>>,
}

/// Rules on a message whose route is known.
pub(crate) fn rule<'a>(plan: &'a Plan, decision: &MoDecision<'a>, written: Written<'_>) -> Ruling<'a> {
    let taker = |client: &'a ClientId| {
        let text = written.text.filter(|_| written.is_whole);
        let place = match plan.target(client, false) {
            Target::Callback(url) => Place::Callback(url),
            Target::Binds => Place::Binds,
            Target::Inbox if plan.has_client(client) => Place::Inbox,
            Target::Inbox => Place::Nobody,
        };
        Taker {
            client,
            place,
            spoken: text.and_then(|text| plan.keywords().spoken(client, written.to, text)),
        }
    };
    let takers: Vec<Taker<'a>> = chosen(plan, decision).iter().map(taker).collect();
    // One answer to one message: that of a keyword, else of the route; who says stop gets no other answer.
    let of_keyword = takers.iter().find_map(|taker| {
        let spoken = taker.spoken?;
        Some((taker.client, spoken.reply?, Some(spoken.action)))
    });
    let is_keyword = takers.iter().any(|taker| taker.spoken.is_some());
    let of_route = || Some((takers.first()?.client, decision.reply?, None)).filter(|_| !is_keyword);
    let answered = of_keyword.or_else(of_route);
    let reply = answered
        .filter(|(client, _, _)| plan.has_client(client))
        .map(|(client, reply, keyword)| Reply {
            client,
            reply,
            keyword,
            answer: reply::judge(plan, written.from, written.text),
        });
    Ruling { takers, reply }
}

/// Who gets the message: of several, all or the first whose account there is. At least one.
fn chosen<'a>(plan: &Plan, decision: &MoDecision<'a>) -> &'a [ClientId] {
    let there = || {
        let clients = decision.clients.iter();
        let first = clients.enumerate().find(|(_, client)| plan.has_client(client));
        first.map_or(0, |(n, _)| n)
    };
    let n = match decision.mode {
        MoMode::All => return decision.clients,
        MoMode::One => 0,
        MoMode::Failover => there(),
    };
    decision.clients.get(n..=n).unwrap_or_default()
}

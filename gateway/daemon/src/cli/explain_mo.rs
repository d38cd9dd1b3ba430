//! `smsgw explain --mo` for people: where a message from a phone goes, route by route, and what it is answered.
//!
//! Draws what was decided elsewhere; decides nothing.

use crate::explain_mo::MoAnswer;
use smsgw_node_router::{MoHeld, MoReplied, MoRouteSeen, MoSaid};
use std::fmt::Write;

/// Routes that are shown unless all are wanted.
const ROUTES: usize = 20;

pub(super) fn draw(answer: &MoAnswer, all: bool) -> String {
    let explained = &answer.mo;
    let mut out = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writeln!(out, "{name:<10}{value}").expect("a text takes what is written to it");
        }
    };
    line("from", Some(explained.from.clone()));
    line("country", explained.country.clone());
    line("to", Some(explained.to.clone()));
    let unknown = if explained.operator_is_known {
        ""
    } else {
        " (not configured)"
    };
    line("operator", Some(format!("{}{unknown}", explained.operator)));
    line("at", Some(explained.at.clone()));
    line("word", explained.word.clone());
    let letter = explained.dead_letter.as_ref();
    line(
        "nobody",
        letter.map(|(queue, reason)| format!("no route takes it: a dead letter of {queue} ({reason})")),
    );
    let mode = explained.mode.as_deref().filter(|mode| *mode != "one");
    let mode = mode.map_or_else(String::new, |mode| format!(", {mode}"));
    line("route", explained.route.map(|route| format!("{route}{mode}")));
    for (n, taker) in explained.clients.iter().enumerate() {
        let place = match taker.place.as_str() {
            "callback" => "its callback",
            "binds" => "its SMPP binds",
            "inbox" => "its inbox",
            "dead_letter" => "a dead letter of down.callback: there is no such account",
            // A newer gateway's word.
            other => other,
        };
        let name = if n == 0 { "clients" } else { "" };
        line(name, Some(format!("{}: {place}, {}", taker.client, taker.class)));
        line("", taker.keyword.as_ref().map(said));
    }
    if let Some(reply) = &explained.reply {
        line("reply", Some(replied(reply, answer.replies_left)));
        line("", Some(format!("{:?} from {}", reply.text, reply.from)));
    }
    if let Some(message) = &answer.reply {
        let refused = message.refused.as_ref();
        let why = message.detail.as_deref().unwrap_or_default();
        line("", refused.map(|code| format!("would be refused: {code}: {why}")));
        let operators: Vec<&str> = message
            .operators
            .iter()
            .map(|way| way.operator.as_str())
            .collect();
        let parts = message
            .parts
            .map(|parts| format!("{parts} parts"))
            .unwrap_or_default();
        let price = message.price.as_ref();
        let price = price.map_or_else(String::new, |price| {
            format!(", {} {}", price.total, price.currency)
        });
        line(
            "",
            (refused.is_none()).then(|| format!("{parts}{price}, over {}", operators.join(", "))),
        );
    }
    let holds = |route: &&MoRouteSeen| route.criterion.is_none();
    let most = if all { usize::MAX } else { ROUTES };
    let (holding, failing) = (
        explained.routes.iter().filter(holds),
        explained.routes.iter().filter(|route| !holds(route)),
    );
    for (n, route) in holding.chain(failing).take(most).enumerate() {
        line(if n == 0 { "routes" } else { "" }, Some(reason(route)));
    }
    let left = explained.routes.len().saturating_sub(most);
    line("", (left > 0).then(|| format!("and {left} more (--all)")));
    out
}

fn said(said: &MoSaid) -> String {
    let place = format!("{:?} of {}", said.word, said.by);
    let heeded = if said.heeded {
        ""
    } else {
        ", which this account is not held to (opt_out = false)"
    };
    match said.action.as_str() {
        "opt_out" => {
            let scope = match said.scope.as_str() {
                "client" => "all messages of this client",
                "sender" => "messages of this client from this number",
                "number" => "everybody's messages from this number",
                other => other,
            };
            format!("opt-out ({place}): the phone is put on the list for {scope}{heeded}")
        }
        "opt_in" => format!("opt-in ({place}): what opt-outs made is taken off the list{heeded}"),
        "help" => format!("asks for help ({place})"),
        other => format!("{other} ({place})"),
    }
}

fn replied(reply: &MoReplied, left: Option<u32>) -> String {
    let by = format!("by the {}, in the name of {}", reply.by, reply.client);
    match reply.answer.as_str() {
        "no_phone" => format!("none ({by}): who wrote is a name or a short code"),
        "own_text" => format!("none ({by}): the text is one that we answer with"),
        _ => {
            let (max, period) = (reply.max, reply.period_seconds);
            let bound = format!("at most {max} to one phone within {period} s");
            let left = match left {
                None => String::new(),
                Some(0) => ", and they are used up: none is sent (loop guard)".to_owned(),
                Some(left) => format!(", {left} of them left"),
            };
            format!("{by}; {bound}{left}")
        }
    }
}

fn reason(route: &MoRouteSeen) -> String {
    let MoHeld {
        to,
        keyword,
        from,
        text,
        time,
    } = &route.met;
    let met: Vec<String> = [
        ("to", to),
        ("keyword", keyword),
        ("from", from),
        ("text", text),
        ("time", time),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)))
    .collect();
    let by = match met.as_slice() {
        [] => String::new(),
        met => format!(", by {}", met.join(", ")),
    };
    let why = match (route.verdict.as_str(), &route.criterion) {
        (_, Some(criterion)) => format!("does not hold: {criterion}"),
        ("taken", None) => format!("taken{by}"),
        ("behind", None) => format!("holds{by}, and stands behind it"),
        // A newer gateway's word.
        (other, None) => other.to_owned(),
    };
    format!("{} (priority {}): {why}", route.route, route.priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain_mo::answer;
    use smsgw_config::{Config, ConfigHandle};
    use smsgw_message::{OperatorId, Timestamp};
    use smsgw_node_router::MoAsked;

    const CONFIG: &str = r#"
[node]
name = "t"
[operator.alpha]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "x"
password = "x"
[client.acme]
api_key = "acme-key"
opt_out = true
[client.shop]
api_key = "shop-key"
callback = "http://127.0.0.1:9/x"
[[price]]
price = "0.07"
currency = "EUR"
[[route.mt]]
operators = ["alpha"]
[[route.mo]]
to = ["12345"]
keyword = "win"
synonyms = ["гевинн"]
clients = ["acme", "shop"]
mode = "all"
reply = "Thank you!"
reply_max = 3
reply_period = "1h"
[[route.mo]]
to = ["12*"]
from = ["49*"]
client = "acme"
[[route.mo]]
to = ["99"]
operator = "beta"
client = "acme"
[keywords]
defaults = ["de"]
"#;

    fn ask(from: &str, to: &str, text: &str) -> MoAnswer {
        // No second operator is needed for a route that waits for one.
        let text_of = CONFIG.replace("operator = \"beta\"", "operator = \"alpha\"");
        let config = Config::parse("t.toml", &text_of).unwrap_or_else(|problems| panic!("{problems:?}"));
        let asked = MoAsked {
            from: MoAsked::address(from).unwrap(),
            to: MoAsked::address(to).unwrap(),
            operator: OperatorId::try_new("alpha").unwrap(),
            text: Some(text.to_owned()),
            at: Timestamp::from_millis(1_795_248_000_000),
        };
        answer(&ConfigHandle::new(config).current(), &asked).unwrap()
    }

    fn has(drawn: &str, lines: &[&str]) {
        for line in lines {
            assert!(drawn.contains(line), "{line}\n{drawn}");
        }
    }

    #[test]
    fn who_gets_it_by_what_and_what_is_answered_is_told() {
        let mut told = ask("+491701234567", "12345", "«Гевинн» now");
        told.replies_left = Some(0);
        has(
            &draw(&told, false),
            &[
                "from      491701234567\ncountry   DE\nto        12345\noperator  alpha\n",
                "word      гевинн\n",
                "route     1, all\n",
                "clients   acme: its inbox, transactional\n          shop: its callback, transactional\n",
                "reply     by the route, in the name of acme; at most 3 to one phone within 3600 s, and they are used up",
                "          \"Thank you!\" from 12345\n          1 parts, 0.07 EUR, over alpha\n",
                "routes    1 (priority 0): taken, by to 12345, keyword гевинн\n",
                "2 (priority 0): holds, by to 12*, from 49*, and stands behind it\n",
                "3 (priority 0): does not hold: to\n",
            ],
        );
    }

    #[test]
    fn keywords_short_codes_and_messages_without_route_are_told() {
        let drawn = draw(&ask("+491701234567", "1200", "STOPP!"), false);
        has(
            &drawn,
            &["opt-out (\"stopp\" of de): the phone is put on the list for all messages of this client\n"],
        );
        assert!(!drawn.contains("reply"), "{drawn}");
        has(
            &draw(&ask("12345", "12345", "win"), false),
            &["reply     none (by the route, in the name of acme): who wrote is a name or a short code\n"],
        );
        let nobody = draw(&ask("+33612345678", "1200", "hello"), false);
        has(
            &nobody,
            &[
                "nobody    no route takes it: a dead letter of up.3 (no_route)\n",
                "does not hold: from\n",
            ],
        );
    }
}

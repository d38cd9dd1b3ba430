//! What must agree within a route from phones, and within the words of `[keywords]`.
//!
//! Each check reports and goes on. Must not repeat what a section's own ranges say already.
//! Invariant: a route goes to a client that there is, and to several only where it says how.

use crate::check::{known_client, known_operator};
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::keywords::KeywordAct;
use crate::schema::route::{MoMode, MoRoute};
use crate::value::join;

/// Routes from phones.
pub(crate) fn routes(config: &Config, reader: &mut Reader) {
    for (n, route) in config.route.mo.iter().enumerate() {
        let at = format!("route.mo[{n}]");
        if let Some(operator) = &route.operator {
            known_operator(config, operator, &format!("{at}.operator"), reader);
        }
        clients(config, route, &at, reader);
        words(route, &at, reader);
        if route.time.is_empty() && !reader.has(&format!("{at}.time")) {
            without(reader, &at, &["time_zone"], "time");
        }
        if route.reply.is_none() && !reader.has(&format!("{at}.reply")) {
            without(reader, &at, OF_REPLIES, "reply");
        }
    }
}

/// Words that mean something, of clients that there are.
pub(crate) fn keywords(config: &Config, reader: &mut Reader) {
    for (n, set) in config.keywords.set.iter().enumerate() {
        let at = format!("keywords.set[{n}]");
        for (m, client) in set.client.iter().enumerate() {
            known_client(config, client, &format!("{at}.client[{m}]"), reader);
        }
        for (m, word) in set.words.iter().enumerate() {
            if smsgw_routing::whole_text(word).is_empty() {
                let path = format!("{at}.words[{m}]");
                let message = format!("{path}: {word:?} has no word in it");
                reader.at_value(Code::BadValue, &path, message, None);
            }
        }
        if set.action != KeywordAct::OptOut {
            without(reader, &at, &["scope"], "action = \"opt_out\"");
        }
        if set.reply.is_none() && !reader.has(&format!("{at}.reply")) {
            without(reader, &at, OF_REPLIES, "reply");
        }
    }
}

/// Keys that say how a reply goes.
const OF_REPLIES: &[&str] = &["reply_from", "reply_class", "reply_max", "reply_period"];

fn without(reader: &mut Reader, at: &str, keys: &[&str], what: &str) {
    for key in keys {
        let path = format!("{at}.{key}");
        if reader.has(&path) {
            let message = format!("{path} has no effect without {what}");
            reader.at_key(Code::NoEffect, &path, message, None);
        }
    }
}

fn clients(config: &Config, route: &MoRoute, at: &str, reader: &mut Reader) {
    let (one, several) = (format!("{at}.client"), format!("{at}.clients"));
    if let Some(client) = &route.client {
        known_client(config, client, &one, reader);
    }
    // An account may be taken out of the file, so that the next one gets its messages; somebody must get them.
    let nobody = !route
        .clients
        .iter()
        .any(|id| config.client.contains_key(id) || reader.has(&join("client", id.as_str())));
    for (m, client) in route.clients.iter().enumerate() {
        let path = format!("{several}[{m}]");
        if route.mode != MoMode::Failover || nobody {
            known_client(config, client, &path, reader);
        }
        if route.clients.iter().take(m).any(|earlier| earlier == client) {
            let message = format!("{path}: {client} is named twice");
            reader.at_value(Code::Conflict, &path, message, None);
        }
    }
    // What stands there and could not be read has its own problem.
    match (reader.has(&one), reader.has(&several)) {
        (false, false) => {
            let message = format!("{at}: client is missing");
            let help = "name who gets the messages: client, or clients and mode".to_owned();
            reader.at_key(Code::MissingKey, at, message, Some(help));
        }
        (true, true) => {
            let message = format!("{at}: client and clients exclude each other");
            reader.at_value(
                Code::Conflict,
                &several,
                message,
                Some("keep one of them".to_owned()),
            );
        }
        (false, true) if route.clients.is_empty() => {
            let message = format!("{several}: nobody is named");
            reader.at_value(Code::MissingKey, &several, message, None);
        }
        (true, false) | (false, true) => {}
    }
    if route.mode == MoMode::One && route.clients.len() > 1 {
        let message = format!("{several}: mode says nothing of several clients");
        let help = "write mode = \"all\" or mode = \"failover\"".to_owned();
        reader.at_value(Code::Conflict, &several, message, Some(help));
    }
}

fn words(route: &MoRoute, at: &str, reader: &mut Reader) {
    let keyword = route.keyword.iter().map(|word| (format!("{at}.keyword"), word));
    let synonyms = route.synonyms.iter().enumerate();
    let synonyms = synonyms.map(|(m, word)| (format!("{at}.synonyms[{m}]"), word));
    for (path, word) in keyword.chain(synonyms) {
        if word.is_empty() || word.contains(char::is_whitespace) {
            let message = format!("{path}: {word:?} is not one word");
            reader.at_value(Code::BadValue, &path, message, None);
        }
    }
}

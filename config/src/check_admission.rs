//! What must agree between the sections of admission: names of lists and clients, and times.
//!
//! Each check reports and goes on. Must not repeat what a section's own ranges say already.
//! Invariant: every list that is used exists and has something in it, or a file to read.

use crate::check::{known_client, unknown};
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::admission::{ListName, PriceSection};
use crate::schema::credit::{CreditKind, Unpriced};
use crate::value::join;

/// Lists, senders and prices.
pub(crate) fn admission(config: &Config, reader: &mut Reader) {
    for (name, list) in &config.list {
        let path = join("list", name.as_str());
        if list.file.is_none() && list.entries.is_empty() && !reader.has(&join(&path, "file")) {
            let message = format!("{path}: neither file nor entries");
            reader.at_key(Code::MissingKey, &path, message, None);
        }
    }
    let all = (
        "admission".to_owned(),
        &config.admission.deny_to,
        &config.admission.allow_to,
    );
    let each = config
        .client
        .iter()
        .map(|(id, client)| (join("client", id.as_str()), &client.deny_to, &client.allow_to));
    for (path, deny, allow) in std::iter::once(all).chain(each) {
        for (key, lists) in [("deny_to", deny), ("allow_to", allow)] {
            known_lists(config, lists, &join(&path, key), reader);
        }
    }
    for (id, client) in &config.client {
        let credit = &client.credit;
        if credit.kind == CreditKind::None {
            continue;
        }
        let pays = |price: &PriceSection| {
            price.currency == credit.currency && (price.client.is_empty() || price.client.contains(id))
        };
        if !config.price.iter().any(pays) {
            let path = join(&join("client", id.as_str()), "credit");
            let comes_of_it = match credit.unpriced {
                Unpriced::Refuse => "every message would be refused",
                Unpriced::Free => "no message would cost anything",
            };
            let message = format!(
                "{path}: the account is prepaid and no [[price]] in {} is for it: {comes_of_it}",
                credit.currency
            );
            let help = format!(
                "add a [[price]] with currency = \"{}\" for this client",
                credit.currency
            );
            reader.at_key(Code::MissingKey, &path, message, Some(help));
        }
    }
    for (n, sender) in config.sender.iter().enumerate() {
        for (m, client) in sender.client.iter().enumerate() {
            known_client(config, client, &format!("sender[{n}].client[{m}]"), reader);
        }
    }
    for (n, price) in config.price.iter().enumerate() {
        for (m, client) in price.client.iter().enumerate() {
            known_client(config, client, &format!("price[{n}].client[{m}]"), reader);
        }
        if let (Some(from), Some(until)) = (price.from, price.until)
            && from >= until
        {
            let path = format!("price[{n}].until");
            let message = format!("{path}: the price ends before it begins");
            reader.at_value(Code::OutOfRange, &path, message, None);
        }
    }
}

fn known_lists(config: &Config, lists: &[ListName], path: &str, reader: &mut Reader) {
    for (n, name) in lists.iter().enumerate() {
        // A section that could not be read is there all the same.
        if !config.list.contains_key(name) && !reader.has(&join("list", name.as_str())) {
            let names: Vec<&str> = config.list.keys().map(ListName::as_str).collect();
            unknown("list", name.as_str(), &names, &format!("{path}[{n}]"), reader);
        }
    }
}

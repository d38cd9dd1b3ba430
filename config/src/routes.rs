//! The routes of a configuration as the table that decides: the router routes by it, the client node refuses by it.
//!
//! The one edge between two crates of this layer: without it every node would carry its own copy of this conversion.

use crate::{Config, KeywordAct, KeywordLanguage, KeywordScope, MoMode, Reject, Strategy};
use smsgw_message::KeywordAction;
use smsgw_routing::{
    Action, AutoReply, CostRow, CostTable, KeywordSet, KeywordTable, Language, MoRoute, MtRoute,
    PortedNumbers, PriceError, RejectCode, RouteError, RouteErrorKind, RouteTable,
};
use std::path::PathBuf;
use std::sync::Arc;

impl Config {
    /// Builds the table: some 100 ms for a million prefixes, so not for each message. Nodes ask
    /// [`Snapshot::routes`](crate::Snapshot::routes), which builds it once and only when routes have changed.
    pub fn route_table(&self) -> Result<RouteTable, RouteError> {
        let mo = self.route.mo.iter().map(crate::MoRoute::as_route);
        let mt = self.route.mt.iter().map(crate::MtRoute::as_route);
        let table = RouteTable::try_new(mt.collect(), mo.collect())?;
        let costs = self.cost_table().map_err(|error| RouteError {
            direction: "mt",
            route: 0,
            kind: RouteErrorKind::Costs(error),
        })?;
        let ported = self.mnp.files.iter().map(|file| Arc::clone(file.numbers()));
        Ok(table.with_costs(costs).with_ported(ported.collect()))
    }

    /// Whether any route tries another operator after one has taken a message.
    pub fn has_failover(&self) -> bool {
        self.route.mt.iter().any(|route| {
            let failover = &route.failover;
            !failover.states.is_empty() || !failover.errors.is_empty() || failover.silence.is_some()
        })
    }

    /// The words by which phones say what they want.
    pub fn keyword_table(&self) -> KeywordTable {
        let languages: Vec<Language> = self.keywords.defaults.iter().copied().map(language).collect();
        let sets = self.keywords.set.iter().map(crate::KeywordSet::as_set);
        KeywordTable::new(sets.collect(), &languages)
    }

    /// Whether the tables of two configurations are the same.
    pub(crate) fn routes_as(&self, other: &Self) -> bool {
        self.route == other.route && self.cost == other.cost && self.mnp == other.mnp
    }

    fn cost_table(&self) -> Result<CostTable, PriceError> {
        let rows = self.cost.iter().map(|cost| CostRow {
            operators: cost.operator.clone(),
            prefixes: cost
                .prefix
                .iter()
                .map(|digits| digits.as_str().to_owned())
                .collect(),
            cost: cost.cost,
            currency: cost.currency,
            from: cost.from,
            until: cost.until,
        });
        CostTable::try_new(rows.collect())
    }

    /// Files of ported numbers.
    pub fn ported_files(&self) -> Vec<PathBuf> {
        self.mnp.files.iter().map(|file| file.path().to_owned()).collect()
    }

    /// Puts in the numbers that were read from the file at this place of the list.
    pub fn fill_ported(&mut self, place: usize, numbers: Arc<PortedNumbers>) {
        if let Some(file) = self.mnp.files.get_mut(place) {
            file.fill(numbers);
        }
    }
}

/// Validation has found it; a value that did not come through validation is read as UTC.
fn zone(name: &str) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(name).unwrap_or(jiff::tz::TimeZone::UTC)
}

impl crate::MoRoute {
    fn as_route(&self) -> MoRoute {
        MoRoute {
            priority: self.priority,
            to: self.to.clone(),
            from: self.from.clone(),
            countries: self.country.clone(),
            operator: self.operator.clone(),
            keywords: self.keyword.iter().chain(&self.synonyms).cloned().collect(),
            texts: self.text.clone(),
            times: self.time.clone(),
            zone: zone(&self.time_zone),
            clients: self.everyone().cloned().collect(),
            mode: match self.mode {
                MoMode::One => smsgw_routing::MoMode::One,
                MoMode::All => smsgw_routing::MoMode::All,
                MoMode::Failover => smsgw_routing::MoMode::Failover,
            },
            reply: self.reply.as_ref().map(|text| AutoReply {
                text: text.clone(),
                from: self.reply_from.clone(),
                class: self.reply_class,
                max: self.reply_max,
                period: self.reply_period,
            }),
        }
    }
}

impl crate::KeywordSet {
    fn as_set(&self) -> KeywordSet {
        KeywordSet {
            words: self.words.clone(),
            action: match self.action {
                KeywordAct::OptOut => KeywordAction::OptOut,
                KeywordAct::OptIn => KeywordAction::OptIn,
                KeywordAct::Help => KeywordAction::Help,
            },
            scope: match self.scope {
                KeywordScope::Client => smsgw_routing::KeywordScope::Client,
                KeywordScope::Sender => smsgw_routing::KeywordScope::Sender,
                KeywordScope::Number => smsgw_routing::KeywordScope::Number,
            },
            to: self.to.clone(),
            clients: self.client.clone(),
            reply: self.reply.as_ref().map(|text| AutoReply {
                text: text.clone(),
                from: self.reply_from.clone(),
                class: self.reply_class,
                max: self.reply_max,
                period: self.reply_period,
            }),
        }
    }
}

fn language(word: KeywordLanguage) -> Language {
    match word {
        KeywordLanguage::En => Language::En,
        KeywordLanguage::De => Language::De,
        KeywordLanguage::Fr => Language::Fr,
        KeywordLanguage::Es => Language::Es,
        KeywordLanguage::It => Language::It,
        KeywordLanguage::Pt => Language::Pt,
        KeywordLanguage::Nl => Language::Nl,
        KeywordLanguage::Pl => Language::Pl,
        KeywordLanguage::Ru => Language::Ru,
        KeywordLanguage::Tr => Language::Tr,
        KeywordLanguage::El => Language::El,
    }
}

impl crate::MtRoute {
    fn as_route(&self) -> MtRoute {
        let action = match self.reject {
            Some(reject) => Action::Reject(match reject {
                Reject::NoRoute => RejectCode::NoRoute,
                Reject::DestinationDenied => RejectCode::DestinationDenied,
                Reject::SenderDenied => RejectCode::SenderDenied,
                Reject::ContentDenied => RejectCode::ContentDenied,
            }),
            None => Action::Send {
                operators: self.operators.clone(),
                strategy: match self.strategy {
                    Strategy::Failover => smsgw_routing::Strategy::Failover,
                    Strategy::Weighted => smsgw_routing::Strategy::Weighted,
                    Strategy::LeastCost => smsgw_routing::Strategy::LeastCost,
                    Strategy::Sticky => smsgw_routing::Strategy::Sticky,
                },
                weights: self.weights.clone(),
            },
        };
        MtRoute {
            priority: self.priority,
            prefixes: self
                .prefix
                .iter()
                .map(|digits| digits.as_str().to_owned())
                .collect(),
            clients: self.client.clone(),
            classes: self.class.clone(),
            senders: self.sender.clone(),
            countries: self.country.clone(),
            networks: self.network.clone(),
            texts: self.text.clone(),
            tags: self.tag.clone(),
            times: self.time.clone(),
            zone: zone(&self.time_zone),
            action,
            rewrite_from: self.rewrite_from.clone(),
            rewrite_to: self.rewrite_to.clone(),
        }
    }
}

//! What must agree within a route, and between routes, costs and ported numbers.
//!
//! Each check reports and goes on. Must not repeat what a section's own ranges say already.
//! Invariant: a route either sends or refuses, and all costs can be compared.

use crate::check::known_operator;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::route::{CostSection, Failover, MtRoute, Strategy};

/// Routes to phones, and costs.
pub(crate) fn routes(config: &Config, reader: &mut Reader) {
    for (n, route) in config.route.mt.iter().enumerate() {
        let at = format!("route.mt[{n}]");
        action(route, &at, reader);
        no_effect(route, &at, reader);
    }
    costs(&config.cost, config, reader);
}

/// It sends, or it refuses.
fn action(route: &MtRoute, at: &str, reader: &mut Reader) {
    match (route.operators.is_empty(), route.reject) {
        (true, None) => {
            let message = format!("{at}: operators is missing");
            let help = "name the operators, or refuse with reject".to_owned();
            reader.at_key(Code::MissingKey, at, message, Some(help));
        }
        (false, Some(_)) => {
            let path = format!("{at}.reject");
            let message = format!("{at}: operators and reject exclude each other");
            reader.at_value(
                Code::Conflict,
                &path,
                message,
                Some("keep one of them".to_owned()),
            );
        }
        (true, Some(_)) | (false, None) => {}
    }
    if !route.weights.is_empty() && route.weights.len() != route.operators.len() {
        let path = format!("{at}.weights");
        let message = format!(
            "{path}: {} weights for {} operators",
            route.weights.len(),
            route.operators.len()
        );
        reader.at_value(Code::Conflict, &path, message, None);
    }
}

/// Keys that do nothing beside others.
fn no_effect(route: &MtRoute, at: &str, reader: &mut Reader) {
    // What stands there and could not be read has its own problem.
    let reads = |key: &str| reader.has(&format!("{at}.{key}"));
    let (has_time, has_states) = (reads("time"), reads("failover.states"));
    let mut without = |key: &str, what: &str| {
        let path = format!("{at}.{key}");
        if reader.has(&path) {
            let message = format!("{path} has no effect without {what}");
            reader.at_key(Code::NoEffect, &path, message, None);
        }
    };
    match route.strategy {
        Strategy::Failover | Strategy::LeastCost if !route.weights.is_empty() => {
            without("weights", "strategy = \"weighted\" or \"sticky\"");
        }
        Strategy::Failover | Strategy::LeastCost | Strategy::Weighted | Strategy::Sticky => {}
    }
    if route.time.is_empty() && !has_time {
        without("time_zone", "time");
    }
    if route.reject.is_some() {
        for key in ["strategy", "rewrite_from", "rewrite_to", "failover"] {
            without(key, "operators");
        }
    }
    let Failover {
        states,
        errors,
        silence,
        attempts: _,
        cost: _,
        within: _,
    } = &route.failover;
    if states.is_empty() && !has_states && errors.is_empty() && silence.is_none() {
        // `attempts` bounds refusals too, whatever else is said.
        for key in ["failover.cost", "failover.within"] {
            without(key, "states, errors or silence");
        }
    }
}

fn costs(costs: &[CostSection], config: &Config, reader: &mut Reader) {
    let first = costs.first().map(|cost| cost.currency);
    for (n, cost) in costs.iter().enumerate() {
        for (m, operator) in cost.operator.iter().enumerate() {
            known_operator(config, operator, &format!("cost[{n}].operator[{m}]"), reader);
        }
        if let (Some(from), Some(until)) = (cost.from, cost.until)
            && from >= until
        {
            let path = format!("cost[{n}].until");
            let message = format!("{path}: the cost ends before it begins");
            reader.at_value(Code::OutOfRange, &path, message, None);
        }
        if let Some(first) = first.filter(|first| *first != cost.currency) {
            let path = format!("cost[{n}].currency");
            let message = format!(
                "{path}: {} cannot be compared with the {first} of cost[0]",
                cost.currency
            );
            let help = "write all costs in one currency".to_owned();
            reader.at_value(Code::Conflict, &path, message, Some(help));
        }
    }
}

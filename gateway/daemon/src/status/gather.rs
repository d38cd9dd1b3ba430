//! Fills the answer of `/status` from what the process knows of itself, and judges what needs a person.
//!
//! Invariant: an alarm names what to look at; what passes by itself within moments (a link that connects, a part that
//! starts) is none.

use super::schema::{Alarm, Channel, EngineState, Link, Listener, Part, Receipts, Status};
use smsgw_config::Snapshot;
use smsgw_message::names;
use smsgw_node_operator::{LinkLoad, LinkState, LinkStatus};
use smsgw_node_router::CarrierIds;
use smsgw_queue::{Depth, Engine, Health, Held, HoldScope, Place, QueueName};
use smsgw_runtime::{ChildState, Clock, SystemClock, TreeStatus};
use std::net::SocketAddr;
use std::time::Duration;

/// What the answer is made of.
pub(crate) struct Facts<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) unready: Option<&'static str>,
    /// Keys of the file whose new value waits for a restart.
    pub(crate) restart_pending: i64,
    pub(crate) listeners: Vec<(&'static str, SocketAddr)>,
    pub(crate) links: Option<Vec<(LinkStatus, LinkLoad)>>,
    pub(crate) receipts: Option<Vec<CarrierIds>>,
    pub(crate) tree: Option<TreeStatus>,
}

impl Facts<'_> {
    pub(crate) fn status(self) -> Status {
        let queues = self.engine.queues();
        let health = self.engine.health();
        let mut alarms = Vec::new();
        of_engine(&health, &mut alarms);
        if let Some(tree) = &self.tree {
            of_part(tree, tree.name.clone(), &mut alarms);
        }
        for (status, _) in self.links.iter().flatten() {
            of_link(status, &mut alarms);
        }
        for (queue, depth) in &queues {
            of_queue(queue, depth, &mut alarms);
            of_removed(queue, depth, &self.snapshot.config, &mut alarms);
            for held in self.engine.holds(queue) {
                of_hold(queue, &held, &mut alarms);
            }
        }
        if self.restart_pending > 0 {
            let text = format!(
                "{} keys of the file wait for a restart of the process",
                self.restart_pending
            );
            alarms.push(alarm(WARNING, "config", "config", text));
        }
        // What stops everything first.
        alarms.sort_by_key(|alarm| alarm.severity != CRITICAL);
        Status {
            at: SystemClock.now().to_string(),
            node: self.snapshot.config.node.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            epoch: self.snapshot.epoch,
            ready: self.unready.is_none(),
            unready: self.unready.map(str::to_owned),
            engine: engine(health),
            alarms,
            listeners: self
                .listeners
                .into_iter()
                .map(|(name, address)| Listener {
                    name: name.to_owned(),
                    address: address.to_string(),
                })
                .collect(),
            queues: queues
                .iter()
                .map(|(queue, depth)| {
                    let places = Place::ALL.map(|place| (place.as_str().to_owned(), depth.at(place)));
                    (queue.as_str().to_owned(), places.into_iter().collect())
                })
                .collect(),
            links: self.links.map(|links| {
                let link = |(status, load): &(LinkStatus, LinkLoad)| link(status, load, self.engine);
                links.iter().map(link).collect()
            }),
            receipts: self.receipts.map(|ids| ids.iter().map(receipts).collect()),
            tree: self.tree.as_ref().map(part),
        }
    }
}

fn receipts(ids: &CarrierIds) -> Receipts {
    Receipts {
        operator: ids.operator.to_string(),
        group: ids.group.to_string(),
        form: ids.form.map(str::to_owned),
        configured: ids.configured,
        matched: ids.matched,
        parked: ids.parked,
        unknown: ids.unknown,
        matched_share: ids.matched_share(),
    }
}

const CRITICAL: &str = "critical";
const WARNING: &str = "warning";

fn alarm(severity: &str, kind: &str, subject: &str, text: String) -> Alarm {
    Alarm {
        severity: severity.to_owned(),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        text,
    }
}

fn engine(health: Health) -> EngineState {
    let (health, cause) = match health {
        Health::Ready => ("ready", None),
        Health::LowSpace => ("low_space", None),
        Health::Poisoned(cause) => ("poisoned", Some(cause)),
        Health::Closed => ("closed", None),
    };
    EngineState {
        health: health.to_owned(),
        cause,
    }
}

fn of_engine(health: &Health, alarms: &mut Vec<Alarm>) {
    match health {
        Health::Ready | Health::Closed => {}
        Health::LowSpace => alarms.push(alarm(
            CRITICAL,
            "engine",
            "engine",
            "less disk space is free than engine.min_free_disk: no messages are taken".to_owned(),
        )),
        Health::Poisoned(cause) => alarms.push(alarm(
            CRITICAL,
            "engine",
            "engine",
            format!("poisoned: {cause}; the process ends with 74 and the next start recovers"),
        )),
    }
}

fn of_part(part: &TreeStatus, path: String, alarms: &mut Vec<Alarm>) {
    match part.state {
        ChildState::BackingOff | ChildState::Failed => {
            let why = part.last_error.as_deref().unwrap_or("no reason is known");
            let text = format!("{} after {} restarts: {why}", part.state.as_str(), part.restarts);
            alarms.push(alarm(CRITICAL, "part", &path, text));
        }
        ChildState::Waiting
        | ChildState::Starting
        | ChildState::Running
        | ChildState::Draining
        | ChildState::Stopping
        | ChildState::Stopped => {}
    }
    for channel in part
        .channels
        .iter()
        .filter(|channel| channel.capacity > 0 && channel.depth >= channel.capacity)
    {
        let text = format!(
            "channel {} is full ({}): what empties it is too slow",
            channel.name, channel.depth
        );
        alarms.push(alarm(WARNING, "channel", &path, text));
    }
    for child in &part.children {
        of_part(child, format!("{path}/{}", child.name), alarms);
    }
}

fn of_link(status: &LinkStatus, alarms: &mut Vec<Alarm>) {
    let why = || {
        status
            .reason
            .clone()
            .unwrap_or_else(|| "not connected yet".to_owned())
    };
    let text = match status.state {
        LinkState::Down | LinkState::Connecting if status.credentials_refused => {
            let text = format!(
                "{}: the carrier refuses our credentials{}; somebody has to check system_id and password",
                status.bind,
                status
                    .reason
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" ({why})")),
            );
            alarms.push(alarm(CRITICAL, "credentials", status.link.as_str(), text));
            return;
        }
        LinkState::Connecting | LinkState::Bound | LinkState::Draining | LinkState::Stopped => return,
        LinkState::Down => format!("{} is down: {}", status.bind, why()),
        LinkState::Unsupported => why(),
    };
    alarms.push(alarm(WARNING, "link", status.link.as_str(), text));
}

fn of_queue(queue: &QueueName, depth: &Depth, alarms: &mut Vec<Alarm>) {
    for (place, meaning) in [
        (Place::DeadLetter, "dead letters wait for a person"),
        (Place::Corrupt, "records cannot be read and wait for a person"),
        (Place::Held, "records are held"),
    ] {
        let count = depth.at(place);
        if count > 0 {
            alarms.push(alarm(
                WARNING,
                "queue",
                queue.as_str(),
                format!("{count} {meaning}"),
            ));
        }
    }
}

/// Parts of an operator that the configuration does not have any more: nobody takes them.
fn of_removed(queue: &QueueName, depth: &Depth, config: &smsgw_config::Config, alarms: &mut Vec<Alarm>) {
    let Some(operator) = names::operator_of(queue.as_str()) else {
        return;
    };
    let waiting: u64 = [Place::Ready, Place::InFlight, Place::Deferred, Place::Held]
        .into_iter()
        .map(|place| depth.at(place))
        .sum();
    if waiting > 0 && !config.operator.keys().any(|id| id.as_str() == operator) {
        let text = format!(
            "{waiting} parts wait for it, and the configuration does not have it: add it again, or see reload.md"
        );
        alarms.push(alarm(WARNING, "no_operator", operator, text));
    }
}

fn of_hold(queue: &QueueName, held: &Held, alarms: &mut Vec<Alarm>) {
    let flow = held
        .scope
        .flow()
        .map_or_else(String::new, |flow| format!(" of {flow}"));
    let text = format!(
        "nothing{flow} is taken from it since {}: held, {}",
        held.since,
        held.reason.as_str()
    );
    alarms.push(alarm(WARNING, "queue", queue.as_str(), text));
}

fn link(status: &LinkStatus, load: &LinkLoad, engine: &dyn Engine) -> Link {
    let queue = QueueName::from(names::mt_operator(&status.operator));
    let holds = engine.holds(&queue);
    let held = [
        ("held", status.held),
        (
            "operator held",
            holds.iter().any(|held| held.scope == HoldScope::Queue),
        ),
    ];
    Link {
        operator: status.operator.as_str().to_owned(),
        link: status.link.as_str().to_owned(),
        bind: status.bind.to_owned(),
        state: status.state.as_str().to_owned(),
        since: status.since.to_string(),
        peer: status.peer.map(|peer| peer.to_string()),
        host: status.host.clone(),
        tls: status.tls,
        version: status.version.clone(),
        reason: status.reason.clone(),
        next_try: status.next_try.map(|at| at.to_string()),
        orders: held
            .into_iter()
            .filter(|(_, is)| *is)
            .map(|(word, _)| word.to_owned())
            .collect(),
        rate: load.rate,
        rate_now: load.rate_now,
        in_flight: count(load.in_flight),
        window: count(load.window),
        sent_per_second: load.sent_per_second,
        received_per_second: load.received_per_second,
        answer_p50_ms: load.answer_p50.map(millis),
        answer_p99_ms: load.answer_p99.map(millis),
        last_error: load.last_error.as_ref().map(|error| error.text.clone()),
        last_error_at: load.last_error.as_ref().map(|error| error.at.to_string()),
    }
}

/// With three digits behind the point: microseconds.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn part(status: &TreeStatus) -> Part {
    Part {
        name: status.name.clone(),
        kind: status.kind.to_owned(),
        state: status.state.as_str().to_owned(),
        since: status.since.to_string(),
        restart_at: status.restart_at.map(|at| at.to_string()),
        restarts: status.restarts,
        last_error: status.last_error.clone(),
        failed_at: status.failed_at.map(|at| at.to_string()),
        mailbox: status.mailbox,
        channels: status
            .channels
            .iter()
            .map(|channel| Channel {
                name: channel.name.to_owned(),
                depth: count(channel.depth),
                capacity: count(channel.capacity),
            })
            .collect(),
        children: status.children.iter().map(part).collect(),
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{LinkId, OperatorId};

    fn alarms(state: LinkState, credentials_refused: bool) -> Vec<Alarm> {
        let operator = OperatorId::try_new("alpha").unwrap();
        let status = LinkStatus {
            link: LinkId::new(&operator, 1),
            operator,
            bind: "transceiver",
            state,
            since: SystemClock.now(),
            peer: None,
            host: None,
            tls: false,
            version: None,
            next_try: None,
            held: false,
            reason: Some("bind refused: ESME_RINVPASWD".to_owned()),
            credentials_refused,
        };
        let mut alarms = Vec::new();
        of_link(&status, &mut alarms);
        alarms
    }

    #[test]
    fn refused_credentials_are_critical_and_do_not_flicker_while_the_link_tries_again() {
        for state in [LinkState::Down, LinkState::Connecting] {
            let alarms = alarms(state, true);
            assert_eq!((alarms.len(), alarms[0].kind.as_str()), (1, "credentials"));
            assert_eq!(alarms[0].severity, CRITICAL);
            assert!(alarms[0].text.contains("ESME_RINVPASWD"), "{}", alarms[0].text);
        }
        assert_eq!(alarms(LinkState::Down, false)[0].severity, WARNING);
        assert!(alarms(LinkState::Connecting, false).is_empty());
        assert!(alarms(LinkState::Stopped, false).is_empty(), "it was ordered");
    }
}

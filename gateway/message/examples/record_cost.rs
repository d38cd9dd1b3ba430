//! Prints nothing: reads or writes one of the records of a message, so often. What it costs is told by callgrind, as the
//! difference of two runs:
//! `for n in 1000 2000; do valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/record_cost life $n; done`

use smsgw_message::segment::{Body, Carriage, Plan, split_by};
use smsgw_message::text::{Requested, encode};
use smsgw_message::{
    Address, Class, ClientId, Dispatch, Event, EventName, EventView, LifeEvent, LinkGroup, LinkId, MessageId,
    MessageLife, MessageState, MtMessage, OperatorId, Origin, Record, ReportLevel, SubmitOutcome,
    SubmitResult, Timestamp, Up, Via,
};
use std::hint::black_box;

fn message(at: Timestamp) -> MtMessage {
    let encoded = encode("Hello, this is your code: 123456", Requested::Auto).expect("it is text");
    let cut = split_by(Body::from(&encoded), Plan::of(Carriage::Udh8, 7)).expect("it is short");
    MtMessage {
        id: MessageId::from_parts(at, [7; 10]),
        client: ClientId::try_new("acme").expect("a name"),
        accepted_at: at,
        from: Address::sender("12345").ok(),
        to: Address::msisdn("491700000001").expect("a number"),
        encoding: encoded.encoding,
        parts: cut.parts,
        class: Class::Transactional,
        valid_until: at,
        report: ReportLevel::Final,
        callback: None,
        reference: None,
        origin: Origin::Http,
        message_class: None,
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

fn routed(message: MtMessage, via: Via) -> MessageLife {
    let mut life = MessageLife::accepted(message);
    life.note(LifeEvent {
        at: life.message.accepted_at,
        event: EventName::MtRouted,
        part: None,
        detail: Some(via.operator.to_string()),
    });
    if let Some(part) = life.parts.first_mut() {
        part.state = MessageState::Queued;
        part.via = Some(via);
    }
    life
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().expect("what to read or write");
    let times = arguments.next().and_then(|times| times.parse().ok());
    let times: usize = times.expect("how often");
    let at = Timestamp::from_millis(1_795_248_001_000);
    let message = message(at);
    let operator = OperatorId::try_new("alpha").expect("a name");
    let via = Via {
        group: LinkGroup::of(&operator),
        operator: operator.clone(),
    };
    let dispatch: Dispatch = message.dispatch(1, &operator).expect("it has a part");
    let life = routed(message.clone(), via.clone());
    let carrier_id = "0a7f3b12".to_owned();
    let event = Event {
        message: Some(message.id),
        client: Some(message.client.clone()),
        operator: Some(operator.clone()),
        from: message.from.clone(),
        to: Some(message.to.clone()),
        age_ms: Some(1_234),
        class: Some(Class::Transactional),
        part: Some(1),
        link: Some(LinkId::new(&operator, 1)),
        carrier_id: Some(carrier_id.clone()),
        route: Some(1),
        ..Event::new(at, EventName::MtSent)
    };
    let up = Up::SubmitResult(SubmitResult {
        message: message.id,
        part: 1,
        client: message.client.clone(),
        via,
        link: Some(LinkId::new(&operator, 1)),
        outcome: SubmitOutcome::Sent { carrier_id },
        at,
        receipt_asked: true,
        report: ReportLevel::Final,
        reroute: None,
    });
    let (of_message, of_dispatch, of_life) = (message.to_record(), dispatch.to_record(), life.to_record());
    let (of_event, of_up) = (event.to_record(), up.to_record());
    for _ in 0..times {
        match kind.as_str() {
            "mt" => drop(black_box(MtMessage::from_record(black_box(&of_message)))),
            "dispatch" => drop(black_box(Dispatch::from_record(black_box(&of_dispatch)))),
            "life" => drop(black_box(MessageLife::from_record(black_box(&of_life)))),
            "event" => drop(black_box(Event::from_record(black_box(&of_event)))),
            "view" => drop(black_box(EventView::from_record(black_box(&of_event)))),
            "up" => drop(black_box(Up::from_record(black_box(&of_up)))),
            "write-mt" => drop(black_box(black_box(&message).to_record())),
            "write-dispatch" => drop(black_box(black_box(&dispatch).to_record())),
            "write-life" => drop(black_box(black_box(&life).to_record())),
            "write-event" => drop(black_box(black_box(&event).to_record())),
            "write-up" => drop(black_box(black_box(&up).to_record())),
            other => panic!("{other} is no record"),
        }
    }
}

//! Records that say which route was taken, and what goes with it: fields that came later.

use super::*;

#[test]
fn records_that_tell_of_routes_are_read_and_written_as_when_they_were_released() {
    holds(
        "dispatch-everything",
        &Dispatch {
            route: Some(3),
            ..mt().dispatch(2, &via().operator).unwrap()
        },
    );
    let part = mt().dispatch(2, &via().operator).unwrap();
    holds(
        "dispatch-rewritten",
        &Dispatch {
            own: Some(ClientNumbers {
                from: part.from.clone(),
                to: part.to.clone(),
            }),
            ..part
        },
    );
    holds(
        "life-routed",
        &MessageLife {
            route: Some(3),
            ..life()
        },
    );
    holds(
        "event-after-sent",
        &Event {
            after_sent_ms: Some(900),
            ..event_everything()
        },
    );
}

//! The names that nodes share: queues, the events log, and state keys.
//!
//! Nodes never call each other; these names are all they know of one another. Who may write a key is in its comment.

use crate::{Address, ClientId, LinkGroup, MessageId, OperatorId};

/// Messages that a client node accepted, for the router.
pub const MT_ACCEPTED: &str = "mt.accepted";
/// Batches with something left to do; flow = client. Written and read by client nodes only.
pub const MT_BATCH: &str = "mt.batch";
/// Reports and MO for HTTP callbacks; flow = client.
pub const DOWN_CALLBACK: &str = "down.callback";
/// What clients hand in with their answers to callbacks: records of [`crate::ClientRequest`], for client nodes; flow = client.
pub const CLIENT_REQUESTS: &str = "client.requests";
/// Reports and MO for bound ESMEs; flow = client.
pub const DOWN_SMPP: &str = "down.smpp";
/// Keys of state whose alarm went off, for the router.
pub const ALARMS: &str = "alarms";
/// Instructions of administrators, for the config node.
pub const INSTRUCTIONS: &str = "instructions";
/// The log of everything that happened.
pub const EVENTS: &str = "events";
/// State: until when operators must look for requests to cancel. Written by the router only.
pub const CANCELS: &str = "cancels";
/// One-shot instructions for client nodes, forwarded by the config node: `disconnect` a session.
pub const INSTRUCTIONS_CLIENT: &str = "instructions.client";
/// One-shot instructions for the router, forwarded by the config node: [`MOVE`].
pub const INSTRUCTIONS_ROUTER: &str = "instructions.router";
/// The verb that gives what waits for one operator to another.
pub const MOVE: &str = "move";
/// State: what administrators ordered of operators. Written by the config node only.
pub const ORDERS: &str = "orders";
/// State: how many entries of the audit there ever were. Written by the config node only.
pub const AUDIT: &str = "audit";
/// How many partitions `up` has. A link group always has the same one, so its records stay in order.
pub const UP_PARTITIONS: usize = 8;

/// Parts for one operator.
pub fn mt_operator(operator: &OperatorId) -> String {
    ["mt.operator.", operator.as_str()].concat()
}

/// The operator whose queue this is, by its name; `None` for any other queue.
pub fn operator_of(queue: &str) -> Option<&str> {
    queue.strip_prefix("mt.operator.")
}

/// The log of what waits for a client without callback and binds: records of [`crate::Down`]. Appended by the router, read
/// and trimmed by client nodes.
pub fn inbox(client: &ClientId) -> String {
    format!("inbox.{client}")
}

/// One partition of what comes up from carriers.
pub fn up_partition(n: usize) -> String {
    format!("up.{n}")
}

/// The partition of a link group.
pub fn up(group: &LinkGroup) -> String {
    // FNV-1a: the partition of a group must be the same in every version and on every box.
    let hash = group
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
    let partitions = u64::try_from(UP_PARTITIONS).expect("a small constant fits");
    up_partition(usize::try_from(hash % partitions).expect("smaller than the number of partitions"))
}

/// Not by `format!`, which makes room twice: several of these are made for each message.
fn of_id(space: &str, id: MessageId) -> String {
    [space, id.write(&mut [0; MessageId::LENGTH])].concat()
}

/// The life of a message: created by the client node's accept, written by the router from then on; by the operator node where the
/// answer of a carrier says all there is to say. All but the accept compare the version that they have read.
pub fn message(id: MessageId) -> String {
    of_id("msg/", id)
}

/// Which message a carrier's id belongs to, or the receipt that came before its answer. Written by the router; by the operator node
/// with the life of the message, where nothing stands there.
pub fn correlation(group: &LinkGroup, carrier_id: &str) -> String {
    ["corr/", group.as_str(), "/", carrier_id].concat()
}

/// Parts of a long MO that still waits for others. Written by the router only.
pub fn reassembly(key: &str) -> String {
    format!("mo/{key}")
}

/// The reference of the last long message to one phone. Written by the router only.
pub fn reference(key: &str) -> String {
    format!("ref/{key}")
}

/// How often a part was given back by its operator for no fault of its own: [`crate::Tries`]. Written by operator nodes, by the
/// one that has the part under lease; deleted by the router in the step that takes the part out of the operator's queue.
pub fn tries(operator: &OperatorId, id: MessageId, part: u16) -> String {
    let mut room = [0; MessageId::LENGTH];
    [
        "tries/",
        operator.as_str(),
        "/",
        id.write(&mut room),
        "/",
        &part.to_string(),
    ]
    .concat()
}

/// That a client wants a message withdrawn. Written by the client node; deleted by the router where it is of no more use.
pub fn cancel(id: MessageId) -> String {
    of_id("cancel/", id)
}

/// That a client wants all its messages between two numbers withdrawn. Written by the client node.
pub fn cancel_group(client: &ClientId, from: &Address, to: &Address) -> String {
    // The sender comes last: it alone may hold a slash.
    format!("cancel-group/{client}/{to}/{from}")
}

/// How many groups a client has had withdrawn on a day, counted down from 0. Written by client nodes, with the request.
pub fn cancel_groups(client: &ClientId, day: i64) -> String {
    format!("cancel-groups/{client}/{day}")
}

/// That a client wants a message replaced, and what became of it. Written by the client node, answered by the router.
pub fn replace(id: MessageId) -> String {
    of_id("replace/", id)
}

/// When and how the final report of a message reached its client. Written by the node that delivered it.
pub fn told(id: MessageId) -> String {
    of_id("told/", id)
}

/// The name space of [`quota`].
pub const QUOTA: &str = "quota";

/// Parts that a client handed in during a period of its quota, as a number that counts down from 0. Changed by the accepts
/// of client nodes, each in its own step, and by the router's step that gives a message more parts (`replace/<id>`).
pub fn quota(client: &ClientId, period: &str, begin: &str) -> String {
    format!("quota/{client}/{period}/{begin}")
}

/// The name space of [`credit`], and the key of [`crate::CreditAccounts`]. Written by the counter node only.
pub const CREDIT: &str = "credit";
/// What can be spent, in millionths. Taken from by the accepts of client nodes; given to by the counter node.
pub const CREDIT_BALANCE: &str = "balance";
/// What is put aside for messages that have not come to their end. Changed as [`CREDIT_BALANCE`].
pub const CREDIT_RESERVED: &str = "reserved";
/// What was taken for good since the account began. Written by the counter node only.
pub const CREDIT_CHARGED: &str = "charged";
/// What administrators paid in, less what they took out. Written by the counter node only.
pub const CREDIT_PAID: &str = "paid";
/// The log of what administrators ordered of accounts: [`crate::CreditOrder`]. Written and read by the counter node.
pub const CREDIT_ORDERS: &str = "credit.orders";
/// One-shot instructions about money, forwarded by the config node to the counter node: [`TOP_UP`] and [`CORRECT`].
pub const INSTRUCTIONS_CREDIT: &str = "instructions.credit";
/// The verb that pays into an account.
pub const TOP_UP: &str = "top-up";
/// The verb that sets an account right: pays in, or takes out.
pub const CORRECT: &str = "correct";

/// One of the counters of an account in a currency. At every moment balance + reserved + charged = paid.
pub fn credit(client: &ClientId, currency: &str, what: &str) -> String {
    format!("credit/{client}/{currency}/{what}")
}

/// The log of an account's movements: [`crate::LedgerPage`]. Written and trimmed by the counter node.
pub fn ledger(client: &ClientId) -> String {
    format!("ledger.{client}")
}

/// The last number of a client's messages, or of a conversation of it (`Some`, a digest of both numbers). Written by the
/// counter node only.
pub fn last_number(client: &ClientId, conversation: Option<&str>) -> String {
    match conversation {
        None => format!("number/{client}"),
        Some(digest) => format!("number/{client}/{digest}"),
    }
}

/// The number that a message has, as a counter's value. Written by the counter node only.
pub fn number_of(id: MessageId) -> String {
    of_id("number-of/", id)
}

/// A phone that wants no messages of a client: [`crate::OptOut`]. Written by whoever hears of it: the router (keywords), the
/// client node (the client's own call).
pub fn opted_out_of_client(client: &ClientId, to: &Address) -> String {
    format!("optout/client/{client}/{to}")
}

/// A phone that wants no messages of a client from one of its senders; others of its senders may. Written like
/// [`opted_out_of_client`].
pub fn opted_out_of_clients_sender(client: &ClientId, sender: &Address, to: &Address) -> String {
    // The sender comes last: it alone may hold a slash.
    format!("optout/client/{client}/{to}/{sender}")
}

/// A phone that wants no messages from a sender, whichever client uses it. Written by the router (keywords)
/// only: what one client says must not bind another.
pub fn opted_out_of_sender(sender: &Address, to: &Address) -> String {
    format!("optout/sender/{sender}/{to}")
}

/// Replies to one phone during a period, counted from 1970, as a number that counts down from 0. Changed by the accepts of client
/// nodes only, each in its own step.
pub fn replies(client: &ClientId, phone: &Address, period: u64) -> String {
    format!("replies/{client}/{period}/{phone}")
}

/// Answers of the gateway itself from one number to one phone during a period, counted as [`replies`] and changed as it.
pub fn auto_replies(client: &ClientId, phone: &Address, number: &Address, period: u64) -> String {
    // The number comes last: it alone may hold a slash.
    format!("auto-replies/{client}/{period}/{phone}/{number}")
}

/// What became of an instruction. Written by the config node, of one that it forwarded by the node that did it.
pub fn instruction(id: MessageId) -> String {
    of_id("instruction/", id)
}

/// How many of something a [`MOVE`] has moved so far, as a counter. Written by the router only, in the steps that move.
pub fn moved(instruction: MessageId, what: &str) -> String {
    format!("moved/{instruction}/{what}")
}

/// One place in the ring of the audit. Written by the config node only.
pub fn audit(place: u64) -> String {
    format!("{AUDIT}/{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_group_keeps_its_partition_for_ever() {
        let group = |text: &str| LinkGroup::try_new(text).unwrap();
        assert_eq!(up(&group("alpha")), up(&group("alpha")));
        // Pinned: a change would leave records in a partition nobody of that group reads.
        assert_eq!(up(&group("alpha")), "up.3");
        assert_eq!(up(&group("beta")), "up.7");
    }
}

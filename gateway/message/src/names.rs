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
/// State: what administrators ordered of operators. Written by the config node only.
pub const ORDERS: &str = "orders";
/// How many partitions `up` has. A link group always has the same one, so its records stay in order.
pub const UP_PARTITIONS: usize = 8;

/// Parts for one operator.
pub fn mt_operator(operator: &OperatorId) -> String {
    format!("mt.operator.{operator}")
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

/// The life of a message: created by the client node's accept, written by the router only from then on.
pub fn message(id: MessageId) -> String {
    format!("msg/{id}")
}

/// Which message a carrier's id belongs to, or the receipt that came before its answer. Written by the router only.
pub fn correlation(group: &LinkGroup, carrier_id: &str) -> String {
    format!("corr/{group}/{carrier_id}")
}

/// Parts of a long MO that still waits for others. Written by the router only.
pub fn reassembly(key: &str) -> String {
    format!("mo/{key}")
}

/// The reference of the last long message to one phone. Written by the router only.
pub fn reference(key: &str) -> String {
    format!("ref/{key}")
}

/// How often a part was given back by its operator for no fault of its own. Written by operator nodes, by the one that has
/// the part under lease.
pub fn tries(operator: &OperatorId, id: MessageId, part: u16) -> String {
    format!("tries/{operator}/{id}/{part}")
}

/// That a client wants a message withdrawn. Written by the client node; deleted by the router where it is of no more use.
pub fn cancel(id: MessageId) -> String {
    format!("cancel/{id}")
}

/// When and how the final report of a message reached its client. Written by the node that delivered it.
pub fn told(id: MessageId) -> String {
    format!("told/{id}")
}

/// The name space of [`quota`].
pub const QUOTA: &str = "quota";

/// Parts that a client handed in during a period of its quota, as a number that counts down from 0. Changed by the accepts
/// of client nodes only, each in its own step.
pub fn quota(client: &ClientId, period: &str, begin: &str) -> String {
    format!("quota/{client}/{period}/{begin}")
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

/// What became of an instruction. Written by the config node, of one that it forwarded by the node that did it.
pub fn instruction(id: MessageId) -> String {
    format!("instruction/{id}")
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

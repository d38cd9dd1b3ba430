//! Whose turn it is: classes by weight, flows of a class in turn, records of a flow by age.
//!
//! Knows the numbers of ready records and nothing else of them. A *round* gives every class as many credits as its
//! weight; when no class that has records has credit left, the next round begins, so nobody waits for a class that is
//! empty. A checkout of one flow alone spends credits of that flow: consumers of different flows do not disturb each
//! other.
//!
//! Invariants: a line stands in the rotation of its class exactly when it holds a record and its flow is not held; a
//! member lives exactly as long as a record of its flow is in the queue, wherever.

use crate::delivery::RecordId;
use crate::engine::Flows;
use crate::name::Flow;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Class;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

/// A line keeps at most this much room that it does not use.
const SPARE_ROOM: usize = 16;

/// Records that a class gets in a round of 21.
pub(crate) const fn weight(class: Class) -> u32 {
    match class {
        Class::Otp => 16,
        Class::Transactional => 4,
        Class::Bulk => 1,
    }
}

/// One value for each class.
#[derive(Debug, Clone, Copy, Default)]
struct PerClass<T> {
    otp: T,
    transactional: T,
    bulk: T,
}

impl<T> PerClass<T> {
    fn of(&self, class: Class) -> &T {
        match class {
            Class::Otp => &self.otp,
            Class::Transactional => &self.transactional,
            Class::Bulk => &self.bulk,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Otp => &mut self.otp,
            Class::Transactional => &mut self.transactional,
            Class::Bulk => &mut self.bulk,
        }
    }
}

/// What is left of the round.
type Credits = PerClass<u32>;

impl Credits {
    fn full() -> Self {
        Self {
            otp: weight(Class::Otp),
            transactional: weight(Class::Transactional),
            bulk: weight(Class::Bulk),
        }
    }

    /// The class that is served next, of those that have a record. Spends its credit.
    fn spend(&mut self, has_record: &PerClass<Option<FlowId>>) -> Option<(Class, FlowId)> {
        for _round in 0..2 {
            for class in Class::ALL {
                let left = self.of_mut(class);
                if let (Some(flow), true) = (has_record.of(class), *left > 0) {
                    *left -= 1;
                    return Some((class, *flow));
                }
            }
            if Class::ALL.iter().all(|class| has_record.of(*class).is_none()) {
                return None;
            }
            *self = Self::full();
        }
        None
    }
}

/// A flow of this queue by number: 4 octets in every record instead of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FlowId(u32);

/// Ready records of one flow in one class, oldest first.
#[derive(Debug, Default)]
struct Line {
    /// In order of their numbers: where records arrive.
    fresh: VecDeque<RecordId>,
    /// Came back, or arrived late: older than the end of `fresh`.
    early: BTreeSet<RecordId>,
    /// Its place in the rotation, while it holds a record.
    turn: u64,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.early.is_empty()
    }

    /// Whose turn it is within the flow.
    fn first(&self) -> Option<RecordId> {
        match (self.fresh.front(), self.early.first()) {
            (Some(fresh), Some(early)) => Some(*fresh.min(early)),
            (fresh, early) => fresh.or(early).copied(),
        }
    }

    /// Takes a record out, wherever it stands; whether it was here.
    fn remove(&mut self, id: RecordId) -> bool {
        match self.fresh.binary_search(&id) {
            Ok(at) => self.fresh.remove(at).is_some(),
            Err(_) => self.early.remove(&id),
        }
    }

    fn push(&mut self, id: RecordId) {
        if self.fresh.back().is_none_or(|last| *last < id) {
            self.fresh.push_back(id);
        } else {
            self.early.insert(id);
        }
    }

    fn pop(&mut self) -> Option<RecordId> {
        let id = match (self.fresh.front(), self.early.first()) {
            (Some(fresh), Some(early)) if early < fresh => self.early.pop_first(),
            (Some(_), _) => self.fresh.pop_front(),
            (None, _) => self.early.pop_first(),
        };
        let room = self.fresh.capacity();
        if room > SPARE_ROOM && self.fresh.len() < room / 4 {
            self.fresh.shrink_to(room / 2);
        }
        id
    }
}

/// A flow that has records in the queue.
#[derive(Debug)]
struct Member {
    flow: Flow,
    /// Records of the flow, wherever they are.
    records: u64,
    lines: PerClass<Line>,
    /// Its lines stand in no rotation.
    held: bool,
    /// For checkouts of this flow alone.
    credits: Credits,
}

/// Ready records by whose turn it is.
#[derive(Debug)]
pub(super) struct Lanes {
    members: Vec<Option<Box<Member>>>,
    free: Vec<FlowId>,
    by_name: FxHashMap<Flow, FlowId>,
    /// Lines with records, in the order of their turns.
    rotation: PerClass<BTreeMap<u64, FlowId>>,
    next_turn: u64,
    credits: Credits,
    /// Flows that are held, whether they have records or not.
    held: FxHashSet<Flow>,
}

/// Which flows one checkout takes from, resolved to numbers.
enum Scope {
    All,
    Only(FlowId),
    Except(FxHashSet<FlowId>),
}

/// One checkout: goes through the rotation once, past the lines that it may not take from.
pub(super) struct Walk {
    scope: Scope,
    from: PerClass<u64>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            members: Vec::new(),
            free: Vec::new(),
            by_name: FxHashMap::default(),
            rotation: PerClass::default(),
            next_turn: 0,
            credits: Credits::full(),
            held: FxHashSet::default(),
        }
    }

    /// No record of any flow is in the queue.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many flows have records in the queue.
    #[cfg(test)]
    pub(super) fn members(&self) -> usize {
        self.by_name.len()
    }

    /// A record of this flow enters the queue.
    pub(super) fn join(&mut self, flow: &Flow) -> FlowId {
        if let Some(id) = self.by_name.get(flow).copied() {
            self.member(id).records += 1;
            return id;
        }
        let member = Some(Box::new(Member {
            flow: flow.clone(),
            records: 1,
            lines: PerClass::default(),
            held: self.held.contains(flow),
            credits: Credits::full(),
        }));
        let id = if let Some(id) = self.free.pop() {
            *self
                .members
                .get_mut(index(id))
                .expect("a free number was a member's") = member;
            id
        } else {
            self.members.push(member);
            FlowId(u32::try_from(self.members.len() - 1).expect("4 billion flows would not fit into memory"))
        };
        self.by_name.insert(flow.clone(), id);
        id
    }

    /// A record of this flow left the queue.
    pub(super) fn leave(&mut self, id: FlowId) {
        let member = self.member(id);
        member.records -= 1;
        if member.records > 0 {
            return;
        }
        let flow = member.flow.clone();
        self.by_name.remove(&flow);
        if self.by_name.is_empty() {
            self.members = Vec::new();
            self.free = Vec::new();
            self.by_name = FxHashMap::default();
        } else {
            *self.members.get_mut(index(id)).expect("it was a member") = None;
            self.free.push(id);
        }
    }

    /// Up to `max` ready records of one flow behind `after`, oldest first. Takes no longer where they are rare.
    pub(super) fn of_flow(&self, flow: &Flow, after: Option<RecordId>, max: usize) -> Vec<RecordId> {
        let member = self.by_name.get(flow).and_then(|id| self.members.get(index(*id)));
        let Some(member) = member.and_then(Option::as_ref) else {
            return Vec::new();
        };
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut ids = Vec::new();
        for line in Class::ALL.map(|class| member.lines.of(class)) {
            let begin = line
                .fresh
                .partition_point(|id| after.is_some_and(|after| *id <= after));
            ids.extend(line.fresh.range(begin..).take(max));
            ids.extend(line.early.range(behind).take(max));
        }
        ids.sort_unstable();
        ids.truncate(max);
        ids
    }

    /// The name of a member.
    pub(super) fn name(&self, id: FlowId) -> Flow {
        self.members
            .get(index(id))
            .and_then(Option::as_ref)
            .map(|member| member.flow.clone())
            .expect(MEMBER)
    }

    /// The record may be checked out from now on.
    pub(super) fn push(&mut self, class: Class, flow: FlowId, id: RecordId) {
        let turn = self.next_turn;
        let member = self.member(flow);
        let held = member.held;
        let line = member.lines.of_mut(class);
        let joins = line.is_empty() && !held;
        line.push(id);
        if joins {
            line.turn = turn;
            self.next_turn += 1;
            self.rotation.of_mut(class).insert(turn, flow);
        }
    }

    /// The record may not be checked out any more. False when it stood in no line: its change is not finished.
    pub(super) fn remove(&mut self, class: Class, flow: FlowId, id: RecordId) -> bool {
        let member = self.member(flow);
        let held = member.held;
        let line = member.lines.of_mut(class);
        if !line.remove(id) {
            return false;
        }
        let (turn, leaves) = (line.turn, line.is_empty() && !held);
        if leaves {
            self.rotation.of_mut(class).remove(&turn);
        }
        true
    }

    /// Nothing of this flow is handed out from now on, or again.
    pub(super) fn set_held(&mut self, flow: &Flow, held: bool) {
        if held {
            self.held.insert(flow.clone());
        } else {
            self.held.remove(flow);
        }
        let Some(id) = self.by_name.get(flow).copied() else {
            return;
        };
        if std::mem::replace(&mut self.member(id).held, held) == held {
            return;
        }
        for class in Class::ALL {
            let next = self.next_turn;
            let line = self.member(id).lines.of_mut(class);
            if line.is_empty() {
                continue;
            }
            let turn = line.turn;
            if held {
                self.rotation.of_mut(class).remove(&turn);
            } else {
                line.turn = next;
                self.next_turn += 1;
                self.rotation.of_mut(class).insert(next, id);
            }
        }
    }

    /// Begins a checkout. `None` when no flow it asks for has a record.
    pub(super) fn walk(&self, flows: &Flows) -> Option<Walk> {
        let scope = match flows {
            Flows::All => Scope::All,
            Flows::Only(flow) => Scope::Only(*self.by_name.get(flow)?),
            Flows::Except(flows) => Scope::Except(
                flows
                    .iter()
                    .filter_map(|flow| self.by_name.get(flow).copied())
                    .collect(),
            ),
        };
        Some(Walk {
            scope,
            from: PerClass::default(),
        })
    }

    /// The next record of a checkout, if it still fits in: then its class and its flow had their turn.
    pub(super) fn pop_if(
        &mut self,
        walk: &mut Walk,
        fits: impl FnOnce(RecordId) -> bool,
    ) -> Option<RecordId> {
        let mut heads = PerClass::default();
        for class in Class::ALL {
            *heads.of_mut(class) = self.head(class, walk);
        }
        let credits = match walk.scope {
            Scope::All | Scope::Except(_) => &mut self.credits,
            Scope::Only(flow) => &mut self.member(flow).credits,
        };
        let before = *credits;
        let (class, flow) = credits.spend(&heads)?;
        let next = self.next_turn;
        let line = self.member(flow).lines.of_mut(class);
        if !fits(line.first().expect("a head has a record")) {
            match walk.scope {
                Scope::All | Scope::Except(_) => self.credits = before,
                Scope::Only(flow) => self.member(flow).credits = before,
            }
            return None;
        }
        let id = line.pop().expect("a head has a record");
        let turn = line.turn;
        let stays = !line.is_empty();
        if stays {
            line.turn = next;
            self.next_turn += 1;
        }
        let rotation = self.rotation.of_mut(class);
        rotation.remove(&turn);
        if stays {
            rotation.insert(next, flow);
        }
        Some(id)
    }

    /// The flow whose turn it is in a class.
    fn head(&self, class: Class, walk: &mut Walk) -> Option<FlowId> {
        match &walk.scope {
            Scope::All => self.rotation.of(class).first_key_value().map(|(_, flow)| *flow),
            Scope::Only(flow) => {
                let member = self
                    .members
                    .get(index(*flow))
                    .and_then(Option::as_ref)
                    .expect(MEMBER);
                (!member.held && !member.lines.of(class).is_empty()).then_some(*flow)
            }
            Scope::Except(out) => {
                let from = walk.from.of_mut(class);
                let (turn, flow) = self
                    .rotation
                    .of(class)
                    .range(*from..)
                    .find(|(_, flow)| !out.contains(flow))?;
                // Those before it stay behind for the rest of this checkout; who is served moves on ahead of it.
                *from = *turn;
                Some(*flow)
            }
        }
    }

    fn member(&mut self, id: FlowId) -> &mut Member {
        self.members
            .get_mut(index(id))
            .and_then(Option::as_mut)
            .expect(MEMBER)
    }
}

const MEMBER: &str = "a flow is a member as long as it has records";

fn index(id: FlowId) -> usize {
    usize::try_from(id.0).expect("usize has at least 32 bits")
}

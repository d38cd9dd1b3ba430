//! What a step does to the lists of the plain model.

use super::*;

impl World {
    /// Ready, and not kept back.
    pub(super) fn ready(&self, queue: &str) -> impl Iterator<Item = &Record> {
        let held = |scope: HoldScope| self.holds.contains(&(queue.to_owned(), scope));
        let here = self.records.iter().filter(move |record| {
            record.place == Place::Ready
                && record.queue.as_str() == queue
                && !held(HoldScope::Flow(record.lane.flow.clone()))
        });
        here.filter(move |_| !self.holds.contains(&(queue.to_owned(), HoldScope::Queue)))
    }

    pub(super) fn admit(&self, step: &Step) -> Result<(), CommitErrorKind> {
        let [engine, each] = self.most;
        let waits = |queue: Option<&QueueName>| {
            let waits = |record: &&Record| {
                !matches!(record.place, Place::DeadLetter | Place::Corrupt)
                    && queue.is_none_or(|queue| record.queue == *queue)
            };
            self.records.iter().filter(waits).count()
        };
        for op in step.ops() {
            match op {
                Op::Publish(..) if step.has_input() => {}
                Op::Publish(..) if waits(None) >= engine => return Err(CommitErrorKind::Full(Full::Engine)),
                Op::Publish(queue, ..) if waits(Some(queue)) >= each => {
                    return Err(CommitErrorKind::Full(Full::Queue(queue.clone())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A record that nobody has under lease.
    fn unleased(
        &mut self,
        queue: &QueueName,
        id: RecordId,
        places: &[Place],
    ) -> Result<&mut Record, CommitErrorKind> {
        match self.aside(queue, id, &[Place::InFlight]) {
            Ok(_) => Err(CommitErrorKind::Leased {
                queue: queue.clone(),
                record: id.as_u64(),
            }),
            Err(_) => {
                let found = self.aside(queue, id, places)?;
                Ok(&mut self.records[found])
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.state
            .get(key)
            .filter(|value| !matches!(value.expiry, Expiry::At(at) if at <= self.now))
    }

    pub(super) fn enter(&mut self, queue: &QueueName, lane: &Lane, octets: &Bytes) -> &mut Record {
        self.records.push(Record {
            queue: queue.clone(),
            lane: lane.clone(),
            octets: octets.clone(),
            place: Place::Ready,
            reason: Reason::None,
            attempt: 1,
            marked: false,
            published_at: self.now,
            due: None,
            since: None,
            id: None,
            lease: None,
        });
        self.records.last_mut().unwrap()
    }

    /// The record of a good lease. A step says what becomes of it: lease and mark go.
    fn leased(&mut self, lease: &Lease, leases: &[Option<Lease>]) -> Result<&mut Record, CommitErrorKind> {
        let number = leases.iter().position(|known| known.as_ref() == Some(lease));
        let record = self
            .records
            .iter_mut()
            .find(|record| record.lease.is_some() && record.lease == number);
        let record = record.ok_or_else(|| stale(&lease.queue, lease.record))?;
        record.lease = None;
        record.marked = false;
        Ok(record)
    }

    fn aside(&mut self, queue: &QueueName, id: RecordId, places: &[Place]) -> Result<usize, CommitErrorKind> {
        let fits = |record: &Record| {
            record.queue == *queue && record.id == Some(id) && places.contains(&record.place)
        };
        let none = || CommitErrorKind::NoRecord {
            queue: queue.clone(),
            record: id.as_u64(),
        };
        self.records.iter().position(fits).ok_or_else(none)
    }

    fn write(
        &mut self,
        key: &str,
        octets: Bytes,
        version: Version,
        written_by: StepId,
        expiry: &Expiry,
    ) -> Written {
        self.state.insert(
            key.to_owned(),
            Value {
                octets,
                version,
                written_by,
                expiry: expiry.clone(),
            },
        );
        Written::New
    }

    fn as_expected(&self, key: &str, expected: Expected) -> bool {
        match (expected, self.get(key)) {
            (Expected::Any, _) | (Expected::Absent, None) => true,
            (Expected::Version(version), Some(value)) => value.version == Version::Known(version),
            (Expected::WrittenBy(step), Some(value)) => value.written_by == step,
            (Expected::Absent, Some(_)) | (Expected::Version(_) | Expected::WrittenBy(_), None) => false,
        }
    }

    pub(super) fn apply(
        &mut self,
        op: &Op,
        id: StepId,
        number: usize,
        leases: &[Option<Lease>],
    ) -> Result<Written, CommitErrorKind> {
        let now = self.now;
        match op {
            Op::Settle(lease) => {
                self.leased(lease, leases)?;
                self.records.retain(|record| record.id != Some(lease.record));
            }
            Op::Release(lease, after, reason, cost) => {
                let record = self.leased(lease, leases)?;
                record.attempt += u32::from(*cost == Cost::Counted);
                record.place = Place::Ready;
                if !after.is_zero() {
                    record.place = Place::Deferred;
                    record.reason = Reason::Released(*reason);
                    record.due = Some(now.after(*after));
                }
            }
            Op::Hold(lease, reason) => self.leased(lease, leases)?.aside(Reason::Held(*reason), now),
            Op::DeadLetter(lease, reason) => self.leased(lease, leases)?.aside(Reason::Dead(*reason), now),
            Op::Publish(queue, lane, octets, at) => {
                let record = self.enter(queue, lane, octets);
                if at.is_some_and(|at| at > now) {
                    record.place = Place::Deferred;
                    record.reason = Reason::Scheduled;
                    record.due = *at;
                }
            }
            Op::Bury(queue, lane, octets, reason) => {
                self.enter(queue, lane, octets).aside(Reason::Dead(*reason), now);
            }
            Op::Requeue(queue, id) => {
                let found = self.aside(queue, *id, &[Place::Held, Place::DeadLetter])?;
                let record = &mut self.records[found];
                record.place = Place::Ready;
                record.reason = Reason::None;
                record.since = None;
            }
            Op::Discard(queue, id) => {
                let kept = self.aside(queue, *id, &[Place::Held, Place::DeadLetter, Place::Corrupt]);
                let found = kept.or_else(|_| {
                    let waits = self.unleased(queue, *id, &[Place::Ready, Place::Deferred])?;
                    let is_unhandled = !waits.marked;
                    let none = CommitErrorKind::NoRecord {
                        queue: queue.clone(),
                        record: id.as_u64(),
                    };
                    let found = self.aside(queue, *id, &[Place::Ready, Place::Deferred])?;
                    is_unhandled.then_some(found).ok_or(none)
                })?;
                self.records.remove(found);
            }
            Op::HoldRecord(queue, id, reason) => {
                let record = self.unleased(queue, *id, &[Place::Ready, Place::Deferred])?;
                record.due = None;
                record.aside(Reason::Held(*reason), now);
            }
            Op::Move(queue, id, to, lane) => {
                let all = [
                    Place::Ready,
                    Place::Deferred,
                    Place::Held,
                    Place::DeadLetter,
                    Place::Corrupt,
                ];
                let record = self.unleased(queue, *id, &all)?;
                record.queue = to.clone();
                record.lane = lane.clone();
            }
            Op::HoldAll(queue, scope, _) => {
                self.holds.insert((queue.to_string(), scope.clone()));
            }
            Op::ReleaseAll(queue, scope) => {
                self.holds.remove(&(queue.to_string(), scope.clone()));
            }
            Op::Append(_, octets) => self.log.push(octets.clone()),
            Op::Advance(_, reader, to) => {
                let end = u64::try_from(self.log.len()).unwrap();
                let at = self.readers.entry(reader).or_insert(self.oldest);
                *at = (*at).max(to.0.min(end));
            }
            Op::Put(key, octets, expected, expiry) => {
                if self.as_expected(key.as_str(), *expected) {
                    return Ok(self.write(key.as_str(), octets.clone(), Version::Step(number), id, expiry));
                }
                return match self.get(key.as_str()) {
                    Some(value) if value.written_by == id => {
                        let version = value.version;
                        self.done_before = true;
                        Ok(Written::Before(version))
                    }
                    Some(_) | None => Err(CommitErrorKind::Conflict { key: key.clone() }),
                };
            }
            Op::Delete(key, expected) => {
                if !self.as_expected(key.as_str(), *expected) {
                    return Err(CommitErrorKind::Conflict { key: key.clone() });
                }
                self.state.remove(key.as_str());
            }
            Op::Add(key, delta, floor, expiry) => {
                let before = match self.get(key.as_str()) {
                    None => 0,
                    Some(value) => match <[u8; 8]>::try_from(value.octets.as_ref()) {
                        Ok(octets) => i64::from_be_bytes(octets),
                        Err(_) => return Err(CommitErrorKind::NotACounter { key: key.clone() }),
                    },
                };
                if self.done_before {
                    self.sums.push(before);
                    return Ok(Written::Nothing);
                }
                let sum = before + delta;
                if floor.is_some_and(|floor| sum < floor) {
                    return Err(CommitErrorKind::Floor { key: key.clone() });
                }
                self.sums.push(sum);
                let octets = Bytes::copy_from_slice(&sum.to_be_bytes());
                return Ok(self.write(key.as_str(), octets, Version::Step(number), id, expiry));
            }
        }
        Ok(Written::Nothing)
    }
}

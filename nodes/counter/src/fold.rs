//! Folds events into totals. Knows the engine only to read what it adds to.
//!
//! ```text
//! event ──▶ what it adds (Effect) ──▶ the rows of its hour it belongs to: client, operator, route, country, class, sender
//!                                      │ at the commit: a row of an hour is added to the hour, its day, and all time
//! ```
//! Invariant FD-1: folding is a sum: however a log is cut into batches, the totals are the same. What has room of its own
//! in a day is decided in the order of the log.

use crate::dimension::Dimension;
use crate::period::{Hour, Period};
use crate::row::{Count, Effect, OTHER, Row};
use crate::sheet::{ReadError, Sheet, rows};
use rustc_hash::FxHashMap;
use smsgw_message::{EventName, EventView, MessageState, Timestamp};
use smsgw_queue::{Engine, Step};
use smsgw_routing::NumberPlan;

/// Most periods that are held while nothing is added to them.
const SHEETS: usize = 8;
/// Longest value of a dimension, in octets.
const VALUE_OCTETS: usize = 160;

/// What an event adds to each row it belongs to.
fn effect<'a>(event: &EventView<'a>) -> Effect<'a> {
    let parts = u64::from(event.parts);
    let count = |count| Effect {
        counts: [Some((count, 1)), None],
        ..Effect::default()
    };
    let because = |name| Effect {
        cause: Some(event.error.unwrap_or("-")),
        ..count(name)
    };
    let given = |name| Effect {
        counts: [Some((name, 1)), Some((Count::PartsGiven, parts))],
        ..Effect::default()
    };
    match event.name {
        EventName::MtAccepted => Effect {
            counts: [Some((Count::Accepted, 1)), Some((Count::PartsAccepted, parts))],
            ..Effect::default()
        },
        EventName::MtRefusedAtAccept => Effect {
            counts: [Some((Count::RefusedAtAccept, parts)), None],
            ..because(Count::RefusedAtAccept)
        },
        EventName::MtRouted => given(Count::Routed),
        EventName::MtRerouted => given(Count::Rerouted),
        EventName::MtUnroutable => count(Count::Unroutable),
        EventName::MtSent => Effect {
            accept_to_sent: event.age_ms,
            ..count(Count::Sent)
        },
        EventName::MtRefused => because(Count::Refused),
        EventName::MtFinal => match event.state {
            Some(MessageState::Delivered) => Effect {
                sent_to_delivered: event.after_sent_ms,
                ..count(Count::Delivered)
            },
            Some(MessageState::Failed) => because(Count::Failed),
            Some(MessageState::Expired) => because(Count::Expired),
            Some(MessageState::Rejected) => because(Count::Rejected),
            Some(MessageState::Cancelled) => because(Count::Cancelled),
            Some(MessageState::Sent) => count(Count::EndedSent),
            // No end: the ledger will say that one is missing.
            Some(MessageState::Accepted | MessageState::Scheduled | MessageState::Queued) | None => {
                Effect::default()
            }
        },
        EventName::MoReceived => count(Count::MoReceived),
        EventName::MoRouted => count(Count::MoRouted),
        EventName::DrReceived => count(Count::Receipts),
        EventName::DrUnknown => count(Count::UnknownReceipts),
        EventName::DeliveredToClient => count(Count::Told),
        EventName::ClientUnreachable => because(Count::Untold),
        EventName::MtInDoubt => count(Count::InDoubt),
        EventName::MtRecut => count(Count::Recut),
        EventName::MtProgress => count(Count::Progress),
        EventName::MtCancelRequested => count(Count::CancelRequested),
        EventName::MtReplaced => count(Count::Replaced),
        EventName::MtTakenBack => Effect {
            counts: [Some((Count::PartsTakenBack, parts)), None],
            ..Effect::default()
        },
    }
}

/// Which way a message goes: its phone is where it goes to, or where it comes from.
fn is_from_phone(name: EventName) -> bool {
    match name {
        EventName::MoReceived | EventName::MoRouted | EventName::DrReceived | EventName::DrUnknown => true,
        EventName::MtAccepted
        | EventName::MtRouted
        | EventName::MtUnroutable
        | EventName::MtSent
        | EventName::MtRefused
        | EventName::MtProgress
        | EventName::MtFinal
        | EventName::DeliveredToClient
        | EventName::ClientUnreachable
        | EventName::MtInDoubt
        | EventName::MtRecut
        | EventName::MtRerouted
        | EventName::MtCancelRequested
        | EventName::MtRefusedAtAccept
        | EventName::MtReplaced
        | EventName::MtTakenBack => false,
    }
}

#[derive(Debug, Default)]
struct Slot {
    value: Box<str>,
    more: Row,
    touched: bool,
}

/// What came to the rows of one dimension in one hour since the last commit.
#[derive(Debug, Default)]
struct Column {
    slots: FxHashMap<Box<str>, usize>,
    held: Vec<Slot>,
    touched: Vec<usize>,
    /// The place that was asked for last, by far the likeliest to be asked for next.
    last: usize,
}

impl Column {
    fn place(&mut self, value: &str) -> Option<usize> {
        if self.held.get(self.last).is_none_or(|slot| *slot.value != *value) {
            self.last = *self.slots.get(value)?;
        }
        Some(self.last)
    }

    fn slot(&mut self, value: &str) -> usize {
        let place = self.held.len();
        self.held.push(Slot {
            value: value.into(),
            ..Slot::default()
        });
        self.slots.insert(value.into(), place);
        place
    }

    fn add(&mut self, place: usize, effect: &Effect<'_>) {
        if let Some(slot) = self.held.get_mut(place) {
            slot.more.add(effect);
            if !std::mem::replace(&mut slot.touched, true) {
                self.touched.push(place);
            }
        }
    }
}

#[derive(Debug)]
struct Increase {
    hour: Hour,
    columns: [Column; 6],
    last: Timestamp,
}

/// The periods an event needs are not held yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) Period);

/// Totals in memory: what came since the last commit, and what it is added to.
#[derive(Debug, Default)]
pub(crate) struct Board {
    increases: Vec<Increase>,
    sheets: Vec<Sheet>,
    /// What came and has no client, for `/metrics`.
    unowned: Row,
    scratch: String,
    /// The route of the last event that had one, from phones or to them, and its value.
    route: Option<((bool, u32), String)>,
    /// The hour of the last event, and where its increase is.
    current: Option<(Hour, usize)>,
}

impl Board {
    /// Reads the sheet of a period.
    pub(crate) async fn hold(&mut self, engine: &dyn Engine, period: Period) -> Result<(), ReadError> {
        if !self.sheets.iter().any(|sheet| sheet.period == period) {
            self.sheets.push(Sheet::load(engine, period).await?);
        }
        Ok(())
    }

    fn increase(&mut self, at: Timestamp) -> Result<usize, Missing> {
        let hour = Hour::of(at);
        if let Some((current, place)) = self.current
            && current == hour
        {
            return Ok(place);
        }
        for period in [Period::Hour(hour), Period::Day(hour.day()), Period::Ever] {
            if !self.sheets.iter().any(|sheet| sheet.period == period) {
                return Err(Missing(period));
            }
        }
        let there = self.increases.iter().position(|increase| increase.hour == hour);
        let place = there.unwrap_or_else(|| {
            self.increases.push(Increase {
                hour,
                columns: Default::default(),
                last: at,
            });
            self.increases.len() - 1
        });
        self.current = Some((hour, place));
        Ok(place)
    }

    /// Adds one event; nothing was added when something is missing.
    pub(crate) fn fold(&mut self, event: &EventView<'_>) -> Result<(), Missing> {
        let increase = self.increase(event.at)?;
        let effect = effect(event);
        if effect.counts.iter().all(Option::is_none) {
            return Ok(());
        }
        if let Some(increase) = self.increases.get_mut(increase) {
            increase.last = increase.last.max(event.at);
        }
        match event.client {
            Some(client) => self.add(increase, Dimension::Client, client, &effect),
            None => self.unowned.add(&effect),
        }
        if let Some(operator) = event.operator {
            self.add(increase, Dimension::Operator, operator, &effect);
        }
        if let Some(class) = event.class {
            self.add(increase, Dimension::Class, class.as_str(), &effect);
        }
        let of_phone = is_from_phone(event.name);
        if let Some(route) = event.route {
            let last = self.route.take().filter(|(last, _)| *last == (of_phone, route));
            let way = if of_phone { "mo" } else { "mt" };
            let named = last.unwrap_or_else(|| ((of_phone, route), format!("{way}.{route}")));
            self.add(increase, Dimension::Route, &named.1, &effect);
            self.route = Some(named);
        }
        let phone = if of_phone { event.from } else { event.to };
        if let Some(phone) = phone {
            let country = NumberPlan::builtin().country(phone.text);
            let iso2 = country.map_or("-", |country| country.iso2);
            self.add(increase, Dimension::Country, iso2, &effect);
        }
        if let (false, Some(client), Some(from)) = (of_phone, event.client, event.from) {
            let effect = Effect {
                accept_to_sent: None,
                sent_to_delivered: None,
                ..effect
            };
            self.scratch.clear();
            self.scratch.push_str(client);
            self.scratch.push('/');
            self.scratch.push_str(from.text);
            let value = std::mem::take(&mut self.scratch);
            self.add(increase, Dimension::Sender, &value, &effect);
            self.scratch = value;
        }
        Ok(())
    }

    fn add(&mut self, increase: usize, dimension: Dimension, value: &str, effect: &Effect<'_>) {
        let Some(increase) = self.increases.get_mut(increase) else {
            return;
        };
        let Some(column) = increase.columns.get_mut(dimension.place()) else {
            return;
        };
        if let Some(place) = column.place(value) {
            column.add(place, effect);
            return;
        }
        // New in this hour: the day decides whether it is told apart.
        let day = Period::Day(increase.hour.day());
        let sheet = self.sheets.iter_mut().find(|sheet| sheet.period == day);
        let sheet = sheet.expect("the day of an increase is held");
        let other;
        let mut value = value;
        if value.len() > VALUE_OCTETS || !sheet.has_room(dimension, value) {
            other = match (dimension, value.split_once('/')) {
                (Dimension::Sender, Some((client, _))) if client.len() <= VALUE_OCTETS => {
                    format!("{client}/{OTHER}")
                }
                (
                    Dimension::Client
                    | Dimension::Operator
                    | Dimension::Route
                    | Dimension::Country
                    | Dimension::Class
                    | Dimension::Sender,
                    _,
                ) => OTHER.to_owned(),
            };
            value = &other;
        }
        sheet.take_room(dimension, value);
        let place = match column.place(value) {
            Some(place) => place,
            None => column.slot(value),
        };
        column.add(place, effect);
    }

    /// What came since the last commit, by client and for those without one.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (Option<&str>, &Row)> {
        let columns = self
            .increases
            .iter()
            .filter_map(|increase| increase.columns.get(Dimension::Client.place()));
        let touched = columns
            .flat_map(|column| column.touched.iter().filter_map(|place| column.held.get(*place)))
            .map(|slot| (Some(&*slot.value), &slot.more));
        touched.chain(std::iter::once((None, &self.unowned)))
    }

    /// Adds what came to what stands in state, and writes it. After a commit that failed the board must be thrown away.
    pub(crate) async fn settle(&mut self, engine: &dyn Engine, mut step: Step) -> Result<Step, ReadError> {
        self.read_rows(engine).await?;
        for increase in &mut self.increases {
            let periods = [
                Period::Hour(increase.hour),
                Period::Day(increase.hour.day()),
                Period::Ever,
            ];
            for sheet in self
                .sheets
                .iter_mut()
                .filter(|sheet| periods.contains(&sheet.period))
            {
                for (dimension, column) in Dimension::ALL.into_iter().zip(&increase.columns) {
                    if sheet.period == Period::Ever && !dimension.has_ever() {
                        continue;
                    }
                    for slot in column.touched.iter().filter_map(|place| column.held.get(*place)) {
                        let value = value_in(sheet, dimension, &slot.value);
                        sheet.merge(dimension, value, &slot.more, increase.last);
                    }
                }
            }
        }
        for sheet in &mut self.sheets {
            if is_touched(&self.increases, sheet.period) {
                step = sheet.write(step);
            }
        }
        Ok(step)
    }

    async fn read_rows(&mut self, engine: &dyn Engine) -> Result<(), ReadError> {
        let mut wanted = Vec::new();
        for increase in &self.increases {
            let periods = [
                Period::Hour(increase.hour),
                Period::Day(increase.hour.day()),
                Period::Ever,
            ];
            for (sheet_place, sheet) in self.sheets.iter_mut().enumerate() {
                if !periods.contains(&sheet.period) {
                    continue;
                }
                for (dimension, column) in Dimension::ALL.into_iter().zip(&increase.columns) {
                    if sheet.period == Period::Ever && !dimension.has_ever() {
                        continue;
                    }
                    for slot in column.touched.iter().filter_map(|place| column.held.get(*place)) {
                        let value = value_in(sheet, dimension, &slot.value);
                        if let Some((place, key)) = sheet.unread(dimension, value) {
                            wanted.push((sheet_place, dimension, place, key));
                        }
                    }
                }
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let keys = wanted.iter().map(|(_, _, _, key)| key.clone()).collect();
        for ((sheet, dimension, place, _), row) in wanted.into_iter().zip(rows(engine, keys).await?) {
            if let Some(sheet) = self.sheets.get_mut(sheet) {
                sheet.read(dimension, place, row);
            }
        }
        Ok(())
    }

    /// What was written is durable: what comes is counted from zero.
    pub(crate) fn settled(&mut self) {
        for increase in &mut self.increases {
            for column in &mut increase.columns {
                for place in column.touched.drain(..) {
                    if let Some(slot) = column.held.get_mut(place) {
                        slot.more = Row::default();
                        slot.touched = false;
                    }
                }
            }
        }
        self.unowned = Row::default();
        if self.sheets.len() > SHEETS {
            self.increases.clear();
            self.sheets.clear();
            self.current = None;
        }
    }
}

/// Under which value a row of an hour stands in a sheet: all time has room for as many as a day.
fn value_in<'a>(sheet: &Sheet, dimension: Dimension, value: &'a str) -> &'a str {
    // What is told apart in a day was decided when it was folded.
    if sheet.period != Period::Ever || sheet.has_room(dimension, value) {
        value
    } else {
        OTHER
    }
}

fn is_touched(increases: &[Increase], period: Period) -> bool {
    increases.iter().any(|increase| {
        let is_its = match period {
            Period::Hour(hour) => increase.hour == hour,
            Period::Day(day) => increase.hour.day() == day,
            Period::Ever => true,
        };
        is_its && increase.columns.iter().any(|column| !column.touched.is_empty())
    })
}

//! Whose a message from a phone is.
//!
//! Pure: table and question in, answer out. Must not know binds, callbacks or which accounts there are.
//!
//! Invariant RT-3: among the routes whose criteria all hold, the one with the highest priority is taken; of these one with a
//! keyword before one without; then the one whose number says most (a number written out, then the pattern with the most
//! characters, then any number); of equal ones the first in the file. A naive walk over all routes is the reference.
//!
//! # Limits
//! Routes are found by number written out and keyword; those with patterns or for any number are found by keyword alone. Routes
//! that differ in neither are tried one after the other.

mod keyword;
mod route;
#[cfg(test)]
mod tests;
mod word;

pub use keyword::{KeywordScope, KeywordSet, KeywordTable, Language, Spoken, SpokenBy};
pub use route::{AutoReply, MoMode, MoRoute};
pub use word::{first_word, whole_text};

use crate::decide::NoRoute;
use crate::network::CountryCode;
use crate::plan::NumberPlan;
use crate::sender::SenderPattern;
use crate::table::RouteTable;
use crate::window::WallTime;
use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;
use smsgw_message::{Address, ClientId, OperatorId, Timestamp};
use std::cmp::Reverse;

/// A message from a phone, as routes look at it.
#[derive(Debug, Clone, Copy)]
pub struct MoQuestion<'a> {
    /// Where it came from.
    pub operator: &'a OperatorId,
    /// The phone.
    pub from: &'a Address,
    /// The number it wrote to.
    pub to: &'a Address,
    /// What it wrote; absent for binary content, which has no keyword.
    pub text: Option<&'a str>,
    /// When.
    pub at: Timestamp,
}

/// Whose a message from a phone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoDecision<'a> {
    /// The route that was taken, counted from 1 as in the file.
    pub route: usize,
    /// Who gets the message, as the route's mode says; at least one.
    pub clients: &'a [ClientId],
    /// Which of them.
    pub mode: MoMode,
    /// What the phone is answered.
    pub reply: Option<&'a AutoReply>,
}

/// What a route holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MoCriterion {
    /// The number the phone wrote to.
    To,
    /// The first word.
    Keyword,
    /// The operator.
    Operator,
    /// The phone's number.
    From,
    /// The phone's country.
    Country,
    /// The time.
    Time,
    /// What is found in the text.
    Text,
}

impl MoCriterion {
    /// The key of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Keyword => "keyword",
            Self::Operator => "operator",
            Self::From => "from",
            Self::Country => "country",
            Self::Time => "time",
            Self::Text => "text",
        }
    }
}

/// By which of a route's values a message meets it: their places in the route. Absent where the route asks nothing, and of a
/// route that does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoMet {
    /// Of [`MoRoute::to`]: the one that says most.
    pub to: Option<usize>,
    /// Of [`MoRoute::keywords`].
    pub keyword: Option<usize>,
    /// Of [`MoRoute::from`].
    pub from: Option<usize>,
    /// Of [`MoRoute::times`].
    pub time: Option<usize>,
    /// Of [`MoRoute::texts`].
    pub text: Option<usize>,
}

/// What came of one route, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoSeen<'a> {
    /// The route.
    pub route: &'a MoRoute,
    /// What came of it.
    pub verdict: MoVerdict,
    /// By what it holds.
    pub met: MoMet,
}

/// What [`decide_mo`] says, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoExplanation<'a> {
    /// What it says.
    pub decision: Result<MoDecision<'a>, NoRoute>,
    /// The first word, as it is compared with keywords.
    pub word: Option<String>,
    /// Country of the phone.
    pub country: Option<CountryCode>,
    /// What came of every route, in the order of the file.
    pub routes: Vec<MoSeen<'a>>,
}

/// What came of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoVerdict {
    /// It was taken.
    Taken,
    /// It holds, and another one comes before it (RT-3).
    Behind,
    /// This does not hold.
    Fails(MoCriterion),
}

/// How a route that holds stands among the others: the greatest is taken (RT-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: u32,
    has_keyword: bool,
    /// How much its number says.
    number: usize,
    index: Reverse<usize>,
}

/// A route, and its keywords as they are compared.
#[derive(Debug)]
struct Entry {
    route: MoRoute,
    /// With the place of each among the keywords.
    words: Vec<(usize, String)>,
}

/// Routes of one place: by keyword, and without.
#[derive(Debug, Default)]
struct Place {
    by_word: FxHashMap<Box<str>, Vec<usize>>,
    plain: Vec<usize>,
}

impl Place {
    fn add(&mut self, index: usize, words: &[(usize, String)]) {
        if words.is_empty() {
            self.plain.push(index);
        }
        for (_, word) in words {
            self.by_word.entry(word.as_str().into()).or_default().push(index);
        }
    }

    fn candidates<'a>(&'a self, word: Option<&str>) -> impl Iterator<Item = usize> + use<'a> {
        let by_word = word.and_then(|word| self.by_word.get(word));
        by_word.into_iter().flatten().chain(&self.plain).copied()
    }
}

/// All routes from phones.
#[derive(Debug, Default)]
pub(crate) struct MoTable {
    entries: Vec<Entry>,
    by_number: FxHashMap<Box<str>, Place>,
    others: Place,
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// How much a number or pattern says: all of it, or its own characters.
fn weight(pattern: &SenderPattern) -> usize {
    let text = pattern.as_str();
    if is_pattern(text) {
        text.chars().filter(|c| !matches!(c, '*' | '?')).count()
    } else {
        usize::MAX
    }
}

/// What routes ask of a question more than once.
struct Facts<'a> {
    question: MoQuestion<'a>,
    word: Option<String>,
    country: Option<CountryCode>,
}

impl<'a> Facts<'a> {
    fn new(question: MoQuestion<'a>) -> Self {
        let from = question.from;
        let country = || {
            let country = NumberPlan::builtin().country(from.as_str())?;
            CountryCode::from_text(country.iso2)
        };
        Self {
            question,
            word: question.text.and_then(first_word),
            country: from.is_numeric().then(country).flatten(),
        }
    }

    fn wall(&self, zone: &TimeZone) -> Option<WallTime> {
        let at = jiff::Timestamp::from_millisecond(self.question.at.as_millis()).ok()?;
        let there = zone.to_datetime(at);
        let minute = u16::try_from(there.hour()).ok()? * 60 + u16::try_from(there.minute()).ok()?;
        Some(WallTime {
            day: u8::try_from(there.weekday().to_monday_zero_offset()).ok()?,
            minute,
        })
    }

    /// How a route stands and by what, or the first criterion that does not hold, in the order of their cost.
    fn judge(&self, index: usize, entry: &Entry) -> Result<(Rank, MoMet), MoCriterion> {
        let (route, question) = (&entry.route, &self.question);
        let holds = |held: bool, criterion| if held { Ok(()) } else { Err(criterion) };
        let mut met = MoMet::default();
        let mut number = 0;
        if !route.to.is_empty() {
            let matching = route.to.iter().enumerate().rev();
            let matching = matching.filter(|(_, to)| to.matches(question.to.as_str()));
            // A pattern that is nothing but stars says as much as none at all.
            let weights = matching.map(|(place, to)| (weight(to), place));
            let (most, place) = weights.max_by_key(|(most, _)| *most).ok_or(MoCriterion::To)?;
            (number, met.to) = (most, Some(place));
        }
        if !entry.words.is_empty() {
            let word = self.word.as_ref().ok_or(MoCriterion::Keyword)?;
            let there = entry.words.iter().find(|(_, there)| there == word);
            met.keyword = Some(there.ok_or(MoCriterion::Keyword)?.0);
        }
        let operator = route
            .operator
            .as_ref()
            .is_none_or(|only| only == question.operator);
        holds(operator, MoCriterion::Operator)?;
        let phone = question.from.as_str();
        met.from = among(&route.from, MoCriterion::From, |one| one.matches(phone))?;
        let country = &route.countries;
        let is_there = country.is_empty() || self.country.is_some_and(|there| country.contains(&there));
        holds(is_there, MoCriterion::Country)?;
        if !route.times.is_empty() {
            let now = self.wall(&route.zone).ok_or(MoCriterion::Time)?;
            met.time = among(&route.times, MoCriterion::Time, |window| window.contains(now))?;
        }
        if !route.texts.is_empty() {
            let text = question.text.ok_or(MoCriterion::Text)?;
            met.text = among(&route.texts, MoCriterion::Text, |one| one.is_found_in(text))?;
        }
        let rank = Rank {
            priority: route.priority,
            has_keyword: !entry.words.is_empty(),
            number,
            index: Reverse(index),
        };
        Ok((rank, met))
    }
}

/// The place of the first value that holds; none where nothing is asked.
fn among<T>(
    values: &[T],
    criterion: MoCriterion,
    holds: impl FnMut(&T) -> bool,
) -> Result<Option<usize>, MoCriterion> {
    if values.is_empty() {
        return Ok(None);
    }
    values.iter().position(holds).map(Some).ok_or(criterion)
}

impl MoTable {
    /// Builds the table; routes stand in the order of the file. Gives the number of the first that names no client.
    pub(crate) fn try_new(routes: Vec<MoRoute>) -> Result<Self, usize> {
        let mut table = Self::default();
        for (index, route) in routes.into_iter().enumerate() {
            if route.clients.is_empty() {
                return Err(index + 1);
            }
            let words: Vec<(usize, String)> = route
                .keywords
                .iter()
                .enumerate()
                .filter_map(|(place, word)| Some((place, first_word(word)?)))
                .collect();
            let numbers = route.to.iter().filter(|to| !is_pattern(to.as_str()));
            for number in numbers {
                let place = table.by_number.entry(number.as_str().into()).or_default();
                place.add(index, &words);
            }
            if route.to.is_empty() || route.to.iter().any(|to| is_pattern(to.as_str())) {
                table.others.add(index, &words);
            }
            table.entries.push(Entry { route, words });
        }
        Ok(table)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, facts: &Facts<'_>) -> Option<Rank> {
        let word = facts.word.as_deref();
        let exact = self.by_number.get(facts.question.to.as_str());
        let candidates = exact.into_iter().chain([&self.others]);
        candidates
            .flat_map(|place| place.candidates(word))
            .filter_map(|index| facts.judge(index, self.entries.get(index)?).ok())
            .map(|(rank, _)| rank)
            .max()
    }

    fn decision(&self, rank: Rank) -> Option<MoDecision<'_>> {
        let index = rank.index.0;
        let route = &self.entries.get(index)?.route;
        Some(MoDecision {
            route: index + 1,
            clients: &route.clients,
            mode: route.mode,
            reply: route.reply.as_ref(),
        })
    }
}

/// Chooses the route of a message from a phone (RT-3).
pub fn decide_mo<'a>(table: &'a RouteTable, question: MoQuestion<'_>) -> Result<MoDecision<'a>, NoRoute> {
    let facts = Facts::new(question);
    let found = table.mo.find(&facts);
    found.and_then(|rank| table.mo.decision(rank)).ok_or(NoRoute)
}

/// Says how [`decide_mo`] comes to its answer. Walks over all routes: for people, not for traffic.
pub fn explain_mo<'a>(table: &'a RouteTable, question: MoQuestion<'_>) -> MoExplanation<'a> {
    let facts = Facts::new(question);
    let taken = table.mo.find(&facts);
    let seen = |(index, entry): (usize, &'a Entry)| {
        let (verdict, met) = match facts.judge(index, entry) {
            Ok((rank, met)) if Some(rank) == taken => (MoVerdict::Taken, met),
            Ok((_, met)) => (MoVerdict::Behind, met),
            Err(criterion) => (MoVerdict::Fails(criterion), MoMet::default()),
        };
        MoSeen {
            route: &entry.route,
            verdict,
            met,
        }
    };
    MoExplanation {
        routes: table.mo.entries.iter().enumerate().map(seen).collect(),
        decision: taken.and_then(|rank| table.mo.decision(rank)).ok_or(NoRoute),
        country: facts.country,
        word: facts.word,
    }
}

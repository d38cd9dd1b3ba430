//! STOP, START and HELP: what a phone says with a whole message, by language and number.
//!
//! Pure. Must not know where a wish is kept. Invariant: of the sets that hold, one that is written in the file comes before
//! what is built in, and of equal ones the earlier one; a text that is more than the words says nothing.

use super::AutoReply;
use super::word::whole_text;
use crate::sender::SenderPattern;
use rustc_hash::FxHashMap;
use smsgw_message::{Address, ClientId, KeywordAction};

/// How far a wish goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeywordScope {
    /// All messages of the client.
    #[default]
    Client,
    /// The client's messages from the number that the phone wrote to.
    Sender,
    /// Every client's messages from that number.
    Number,
}

impl KeywordScope {
    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Sender => "sender",
            Self::Number => "number",
        }
    }
}

/// Words of one language that mean one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordSet {
    /// The words; each may be several.
    pub words: Vec<String>,
    /// What they mean.
    pub action: KeywordAction,
    /// How far.
    pub scope: KeywordScope,
    /// Only at these numbers; none: all.
    pub to: Vec<SenderPattern>,
    /// Only for these clients; none: all.
    pub clients: Vec<ClientId>,
    /// What the phone is answered.
    pub reply: Option<AutoReply>,
}

/// Languages with words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English
    En,
    /// German
    De,
    /// French
    Fr,
    /// Spanish
    Es,
    /// Italian
    It,
    /// Portuguese
    Pt,
    /// Dutch
    Nl,
    /// Polish
    Pl,
    /// Russian
    Ru,
    /// Turkish
    Tr,
    /// Greek
    El,
}

impl Language {
    /// The word of the file (ISO 639-1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::It => "it",
            Self::Pt => "pt",
            Self::Nl => "nl",
            Self::Pl => "pl",
            Self::Ru => "ru",
            Self::Tr => "tr",
            Self::El => "el",
        }
    }

    /// What its words mean, without reply.
    pub fn sets(self) -> [KeywordSet; 3] {
        let (stop, start, help): (&[&str], &[&str], &[&str]) = match self {
            Self::En => (
                &[
                    "stop",
                    "stop all",
                    "unsubscribe",
                    "cancel",
                    "end",
                    "quit",
                    "opt out",
                    "optout",
                    "revoke",
                ],
                &["start", "unstop", "subscribe", "opt in", "optin"],
                &["help", "info"],
            ),
            Self::De => (
                &["stopp", "stop", "abmelden", "abbestellen", "beenden", "keine sms"],
                &["start", "anmelden", "abonnieren"],
                &["hilfe", "info"],
            ),
            Self::Fr => (
                &[
                    "stop",
                    "arrêt",
                    "arret",
                    "désabonner",
                    "desabonner",
                    "arrêter",
                    "arreter",
                ],
                &["start", "reprendre", "abonner"],
                &["aide", "info"],
            ),
            Self::Es => (
                &["stop", "alto", "baja", "parar", "cancelar"],
                &["start", "alta", "iniciar"],
                &["ayuda", "info"],
            ),
            Self::It => (
                &["stop", "ferma", "basta", "cancella", "disiscrivi"],
                &["start", "inizia", "iscrivi"],
                &["aiuto", "info"],
            ),
            Self::Pt => (
                &["stop", "pare", "parar", "sair", "cancelar"],
                &["start", "iniciar", "voltar"],
                &["ajuda", "info"],
            ),
            Self::Nl => (
                &["stop", "afmelden", "uitschrijven"],
                &["start", "aanmelden", "inschrijven"],
                &["hulp", "help", "info"],
            ),
            Self::Pl => (
                &["stop", "rezygnuję", "rezygnuje", "wypisz"],
                &["start", "zapisz"],
                &["pomoc", "info"],
            ),
            Self::Ru => (
                &["стоп", "stop", "отписаться", "отмена", "отписка"],
                &["старт", "start", "подписаться"],
                &["помощь", "инфо", "справка"],
            ),
            Self::Tr => (
                &["dur", "iptal", "stop", "ret", "çık"],
                &["başlat", "basla", "başla", "start"],
                &["yardım", "yardim", "bilgi"],
            ),
            Self::El => (
                &["στοπ", "stop", "τέλος", "διακοπή"],
                &["έναρξη", "start"],
                &["βοήθεια", "πληροφορίες"],
            ),
        };
        let set = |words: &[&str], action| KeywordSet {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            action,
            scope: KeywordScope::Client,
            to: Vec::new(),
            clients: Vec::new(),
            reply: None,
        };
        [
            set(stop, KeywordAction::OptOut),
            set(start, KeywordAction::OptIn),
            set(help, KeywordAction::Help),
        ]
    }
}

/// What a phone has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// What it wants.
    pub action: KeywordAction,
    /// How far.
    pub scope: KeywordScope,
    /// What it is answered.
    pub reply: Option<&'a AutoReply>,
    /// By which set.
    pub by: SpokenBy,
    /// The word of that set, as it is written there.
    pub word: &'a str,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpokenBy {
    /// In this set of the file, counted from 1.
    Set(usize),
    /// Among the words that are built in for this language.
    BuiltIn(Language),
}

/// All sets.
#[derive(Debug, Default)]
pub struct KeywordTable {
    sets: Vec<(SpokenBy, KeywordSet)>,
    /// Places of sets, and of the word in each.
    by_text: FxHashMap<Box<str>, Vec<(usize, usize)>>,
}

impl KeywordTable {
    /// Builds the table: sets in the order of the file, behind them those of languages.
    pub fn new(written: Vec<KeywordSet>, languages: &[Language]) -> Self {
        let of = |language: &Language| language.sets().map(|set| (SpokenBy::BuiltIn(*language), set));
        let written = (1..).map(SpokenBy::Set).zip(written);
        let sets: Vec<_> = written.chain(languages.iter().flat_map(of)).collect();
        let mut by_text: FxHashMap<Box<str>, Vec<(usize, usize)>> = FxHashMap::default();
        for (index, (_, set)) in sets.iter().enumerate() {
            for (place, word) in set.words.iter().enumerate() {
                let there = by_text.entry(whole_text(word).into()).or_default();
                if there.last().is_none_or(|(last, _)| *last != index) {
                    there.push((index, place));
                }
            }
        }
        Self { sets, by_text }
    }

    /// What a text to a number says to a client.
    pub fn spoken(&self, client: &ClientId, to: &Address, text: &str) -> Option<Spoken<'_>> {
        if self.sets.is_empty() {
            return None;
        }
        let holds = |set: &KeywordSet| {
            (set.to.is_empty() || set.to.iter().any(|pattern| pattern.matches(to.as_str())))
                && (set.clients.is_empty() || set.clients.contains(client))
        };
        let candidates = self.by_text.get(whole_text(text).as_str())?;
        let places = candidates.iter();
        let (by, set, place) = places
            .filter_map(|(index, place)| {
                let (by, set) = self.sets.get(*index)?;
                Some((*by, set, *place))
            })
            .find(|(_, set, _)| holds(set))?;
        Some(Spoken {
            action: set.action,
            scope: set.scope,
            reply: set.reply.as_ref(),
            by,
            word: set.words.get(place)?,
        })
    }

    /// The texts that phones are answered with.
    pub fn replies(&self) -> impl Iterator<Item = &str> {
        let replies = self.sets.iter().filter_map(|(_, set)| set.reply.as_ref());
        replies.map(|reply| reply.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str) -> ClientId {
        ClientId::try_new(id).unwrap()
    }

    fn said(table: &KeywordTable, whose: &str, to: &str, text: &str) -> Option<KeywordAction> {
        let to = Address::sender(to).unwrap();
        table
            .spoken(&client(whose), &to, text)
            .map(|spoken| spoken.action)
    }

    #[test]
    fn a_whole_message_is_a_wish_in_the_languages_that_are_on() {
        use KeywordAction::{Help, OptIn, OptOut};
        let table = KeywordTable::new(
            Vec::new(),
            &[Language::En, Language::Ru, Language::Tr, Language::El],
        );
        for (text, expected) in [
            ("STOP", Some(OptOut)),
            (" \"Stop.\"\n", Some(OptOut)),
            ("Stop - ALL!", Some(OptOut)),
            ("stop please", None),
            ("don't stop", None),
            ("СТОП!", Some(OptOut)),
            ("İPTAL", Some(OptOut)),
            ("ΤΈΛΟΣ", Some(OptOut)),
            ("Start", Some(OptIn)),
            ("help?", Some(Help)),
            ("Abmelden", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(said(&table, "acme", "12345", text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_file_says_comes_before_what_is_built_in() {
        let own = KeywordSet {
            words: vec!["Stop".to_owned(), "no more".to_owned()],
            action: KeywordAction::Help,
            scope: KeywordScope::Number,
            to: vec![SenderPattern::from_text("123*").unwrap()],
            clients: vec![client("acme")],
            reply: None,
        };
        let table = KeywordTable::new(vec![own], &[Language::En]);
        assert_eq!(said(&table, "acme", "12345", "stop"), Some(KeywordAction::Help));
        assert_eq!(
            said(&table, "acme", "12345", "No  more!"),
            Some(KeywordAction::Help)
        );
        assert_eq!(said(&table, "acme", "22345", "stop"), Some(KeywordAction::OptOut));
        assert_eq!(
            said(&table, "other", "12345", "stop"),
            Some(KeywordAction::OptOut)
        );
        assert_eq!(said(&table, "other", "12345", "no more"), None);
    }

    #[test]
    fn what_was_said_names_its_set_and_the_word_as_it_stands_there() {
        let own = KeywordSet {
            words: vec!["Genug".to_owned(), "No  More".to_owned()],
            action: KeywordAction::OptOut,
            scope: KeywordScope::Sender,
            to: Vec::new(),
            clients: Vec::new(),
            reply: None,
        };
        let table = KeywordTable::new(vec![own], &[Language::De, Language::Ru]);
        let to = Address::sender("12345").unwrap();
        for (text, by, word) in [
            ("no more!", SpokenBy::Set(1), "No  More"),
            ("СТОП", SpokenBy::BuiltIn(Language::Ru), "стоп"),
            ("stop", SpokenBy::BuiltIn(Language::De), "stop"),
        ] {
            let spoken = table.spoken(&client("acme"), &to, text).unwrap();
            assert_eq!((spoken.by, spoken.word), (by, word), "{text}");
        }
    }

    #[test]
    fn no_word_of_a_language_means_two_things() {
        use Language::{De, El, En, Es, Fr, It, Nl, Pl, Pt, Ru, Tr};
        for language in [En, De, Fr, Es, It, Pt, Nl, Pl, Ru, Tr, El] {
            let mut meant: Vec<String> = language
                .sets()
                .iter()
                .flat_map(|set| {
                    set.words
                        .iter()
                        .map(|word| whole_text(word))
                        .collect::<std::collections::BTreeSet<_>>()
                })
                .collect();
            let all = meant.len();
            meant.sort();
            meant.dedup();
            assert_eq!(meant.len(), all, "{language:?}");
        }
    }
}

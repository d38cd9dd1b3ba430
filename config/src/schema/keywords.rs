//! `[keywords]`: STOP, START and HELP, and what a phone is answered.
//!
//! Must not know how a text is compared (`routing` does) or where a wish is kept.
//! Invariant: none of its own; words that say nothing are found when the file is checked.

use std::time::Duration;

use smsgw_routing::SenderPattern;

use crate::section::{between, if_set, not_empty};
use crate::types::{Class, ClientId};

words! {
    /// A language with words of its own.
    KeywordLanguage {
        /// English
        En = "en",
        /// German
        De = "de",
        /// French
        Fr = "fr",
        /// Spanish
        Es = "es",
        /// Italian
        It = "it",
        /// Portuguese
        Pt = "pt",
        /// Dutch
        Nl = "nl",
        /// Polish
        Pl = "pl",
        /// Russian
        Ru = "ru",
        /// Turkish
        Tr = "tr",
        /// Greek
        El = "el",
    }
}

words! {
    /// What a phone wants that sends one of the words.
    KeywordAct {
        /// No more messages.
        OptOut = "opt_out",
        /// Messages again.
        OptIn = "opt_in",
        /// To know what this is; changes nothing.
        Help = "help",
    }
}

words! {
    /// How far an opt-out goes.
    KeywordScope {
        /// All messages of the client that got it.
        Client = "client",
        /// That client's messages from the number that the phone wrote to.
        Sender = "sender",
        /// Every client's messages from that number.
        Number = "number",
    }
}

section! {
    /// `[keywords]`: messages from phones that are, as a whole, one of these words: case, space and punctuation do not count. They
    /// go to their client like any other, with `keyword` in the event; opt-outs are held by accounts with `opt_out = true`.
    Keywords {
        /// Languages whose built-in words mean stop, start and help; they go by client and answer nothing. Since 0.1.
        defaults: Vec<KeywordLanguage> = Vec::new(), Live;
        /// Words of one's own; they come before the built-in ones, the earlier entry before the later. Since 0.1.
        set: Vec<KeywordSet> = Vec::new(), Live;
    }
}

section! {
    /// `[[keywords.set]]`: words that mean one thing.
    KeywordSet {
        /// The words; each may be several (`stop all`). Since 0.1.
        words: Vec<String> = Vec::new(), Live [required] where not_empty();
        /// What they mean. Since 0.1.
        action: KeywordAct = KeywordAct::OptOut, Live [required];
        /// How far an opt-out goes. An opt-in takes back all three. Since 0.1.
        scope: KeywordScope = KeywordScope::Client, Live;
        /// Only at these numbers, patterns as in `[[route.mo]]`; empty or absent: all. Since 0.1.
        to: Vec<SenderPattern> = Vec::new(), Live;
        /// Only for these clients; empty or absent: all. Since 0.1.
        client: Vec<ClientId> = Vec::new(), Live;
        /// What the phone is answered, in the client's name, the route's own `reply` never answers one of the words. Since 0.1.
        reply: Option<String> = None, Live where if_set(super::route::is_reply());
        /// Sender of the answer; absent: the number that the phone wrote to. Since 0.1.
        reply_from: Option<String> = None, Live where if_set(super::admission::is_sender());
        /// Class of the answer; absent: the client's. Since 0.1.
        reply_class: Option<Class> = None, Live;
        /// Answers to one phone from one number at most within `reply_period`, those of routes and keywords together; what is
        /// above it is not sent. Since 0.1.
        reply_max: u32 = 3, Live where between(1, 1_000);
        /// Period of `reply_max`. Since 0.1.
        reply_period: Duration = Duration::from_secs(3_600), Live where between(Duration::from_secs(1), Duration::from_secs(31 * 86_400));
    }
}

//! `[[route.mt]]` and `[[route.mo]]`: where messages go.
//!
//! Must not know how a route is chosen (`routing` decides).
//! Invariant: every operator and client a route names exists (checked across sections).

use crate::section::{at_most_chars, if_set, not_empty};
use crate::types::{Class, ClientId, Digits, OperatorId};

/// Stands for a client until the file has named one; a file that names none is refused.
fn unnamed() -> ClientId {
    ClientId::try_new("unnamed").expect("letters are a name")
}

words! {
    /// In which order the operators of a route are used.
    Strategy {
        /// The first, then the next when one refuses finally for reasons of its own.
        Failover = "failover",
    }
}

section! {
    /// Routes in both directions.
    Routes {
        /// Routes to phones; the longest prefix wins, then the earlier entry. Since 0.1.
        mt: Vec<MtRoute> = Vec::new(), Live;
        /// Routes from phones; the first match wins. Since 0.1.
        mo: Vec<MoRoute> = Vec::new(), Live;
    }
}

section! {
    /// `[[route.mt]]`: messages to phones.
    MtRoute {
        /// First digits of the recipient; empty or absent: any. Since 0.1.
        prefix: Vec<Digits> = Vec::new(), Live;
        /// Operators by name, in order. Since 0.1.
        operators: Vec<OperatorId> = Vec::new(), Live [required] where not_empty();
        /// In which order they are used. Since 0.1.
        strategy: Strategy = Strategy::Failover, Live;
        /// Only for these clients; empty or absent: all. Since 0.1.
        client: Vec<ClientId> = Vec::new(), Live;
        /// Only for these classes; empty or absent: all. Since 0.1.
        class: Vec<Class> = Vec::new(), Live;
    }
}

section! {
    /// `[[route.mo]]`: messages from phones.
    MoRoute {
        /// Numbers the phone wrote to; empty or absent: any. Since 0.1.
        to: Vec<Digits> = Vec::new(), Live;
        /// Only from this operator; absent: all. Since 0.1.
        operator: Option<OperatorId> = None, Live;
        /// Only texts whose first word is this one, in any case; absent: all. Since 0.1.
        keyword: Option<String> = None, Live where if_set(at_most_chars(160));
        /// Who gets the message. Since 0.1.
        client: ClientId = unnamed(), Live [required];
    }
}

//! Names inside an engine: queues, logs, state keys, lanes. Cheap to clone, compared as text.

use smol_str::SmolStr;
use smsgw_message::{Class, ClientId};
use std::fmt;

macro_rules! text {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(SmolStr);

        impl $type {
            /// The name of this text.
            pub fn new(text: impl Into<SmolStr>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(SmolStr::new(text))
            }
        }

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(SmolStr::from(text))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A queue. It exists once something was published to it.
    QueueName
);
text!(
    /// A log. It exists once something was appended to it.
    LogName
);
text!(
    /// A key of state. The part before the first `/` is its name space.
    StateKey
);
text!(
    /// Whose records they are, inside a class: the client. Flows of a class take turns.
    Flow
);

impl StateKey {
    /// The part before the first `/`: bounded, fit for a metric label.
    pub fn space(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl From<&ClientId> for Flow {
    fn from(client: &ClientId) -> Self {
        Self::from(client.as_str())
    }
}

/// Class and flow of a record inside its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Served by weight.
    pub class: Class,
    /// Served in turn within the class.
    pub flow: Flow,
}

impl Lane {
    /// The lane of a class and a flow.
    pub fn new(class: Class, flow: impl Into<Flow>) -> Self {
        Self {
            class,
            flow: flow.into(),
        }
    }
}

//! Sources: the senders whose own events are taken, beside the API.

/// Who sent an event. What a sender calls by an id is known inside its source only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Source {
    /// Stripe's webhooks.
    Stripe,
    /// Chargebee's webhooks.
    Chargebee,
    /// The programme's own calls of the events API.
    Events,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stripe, Self::Chargebee, Self::Events];

    /// Its name: the beginning of all ids that are made of its own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Chargebee => "chargebee",
            Self::Events => "events",
        }
    }
}

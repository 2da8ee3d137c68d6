//! What a caller says of an e-mail address without showing it.

/// What kind of provider serves an address; computed by the caller from the shipped lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum EmailDomainClass {
    /// A mailbox that anybody can open, like gmail.com.
    FreeMail,
    /// An address made to be thrown away.
    Disposable,
    /// A privacy relay that forwards to a real mailbox. Never held against its user.
    Relay,
    /// Anything else: a company, a school, a person's own domain.
    Corporate,
}

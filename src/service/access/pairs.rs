//! Tokens in pairs, for callers that speak HTTP: a key id and its secret are changed for an access token, which is the API's own, and a refresh token,
//! which gives access tokens alone and ends after five days. Pure functions of the directory as it is now.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::digest_of;
use super::short::{AccessToken, CLOCK_SKEW, PREFIX};
use crate::book::directory::{Directory, Identity, Token};
use crate::digesting::{authentication_code, is_same_secret};
use crate::vocabulary::time::{Span, Timestamp};

/// How every refresh token begins.
const REFRESH_PREFIX: &str = "selfsame_rt_";
/// How long an access token of a pair lasts.
pub const ACCESS_LASTS: Span = Span::from_hours(1);
/// How long a refresh token lasts.
pub const REFRESH_LASTS: Span = Span::from_days(5);
/// The age at which a signed token is taken no more, whatever it says of its end.
const SIGNED_AGE_MAX: Span = Span::from_hours(24);

/// A pair, or the access token of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token; absent when it was made by one.
    pub refresh: Option<String>,
    /// How long the access token lasts.
    pub lasts: Span,
}

/// Why a token lets nobody in. Says nothing of the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotIn {
    /// Nobody has it.
    Unknown,
    /// It was made so long after now.
    FromTheFuture(Span),
    /// It was made so long ago.
    TooOld(Span),
    /// It has ended, so long ago.
    Ended(Span),
}

impl fmt::Display for NotIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nobody is known by these credentials, or they were revoked"),
            Self::FromTheFuture(ahead) => {
                write!(f, "the token was made {ahead} in the future by this server's clock; its `iat` must not be")
            }
            Self::TooOld(ago) => write!(f, "the token was made {ago} ago; its `iat` must be within 24 h"),
            Self::Ended(ago) => write!(f, "the token ended {ago} ago; ask for another"),
        }
    }
}

/// The pair for a key id, which is the name of a token or of its identity, and the secret, which is the token.
///
/// # Errors
/// [`NotIn::Unknown`] unless both belong together and let somebody in now.
pub fn begin(directory: &Directory, key_id: &str, secret: &str, now: Timestamp) -> Result<Tokens, NotIn> {
    let (identity, token) = lasting(directory, secret, now).ok_or(NotIn::Unknown)?;
    if token.id.as_str() != key_id && identity.settings.name.as_str() != key_id {
        return Err(NotIn::Unknown);
    }
    let tokens = access(directory, token, now)?;
    let ends = token.expires_at.map_or(now.plus(REFRESH_LASTS), |end| end.min(now.plus(REFRESH_LASTS)));
    let refresh = Some(sealed(directory, &AccessToken { of: token.id.clone(), made_at: now, expires_at: ends })?);
    Ok(Tokens { refresh, ..tokens })
}

/// An access token for a refresh token.
///
/// # Errors
/// [`NotIn`] when it has ended, or what it was made from lets nobody in any more.
pub fn refresh(directory: &Directory, refresh_token: &str, now: Timestamp) -> Result<Tokens, NotIn> {
    let text = refresh_token.strip_prefix(REFRESH_PREFIX).ok_or(NotIn::Unknown)?;
    let (seal, inner) = text.split_once('.').ok_or(NotIn::Unknown)?;
    let key = directory.key().ok_or(NotIn::Unknown)?;
    if !is_same_secret(seal.as_bytes(), refresh_seal(&key.0, inner).as_bytes()) {
        return Err(NotIn::Unknown);
    }
    let said = AccessToken::read(format!("{PREFIX}{inner}").as_bytes(), key).ok_or(NotIn::Unknown)?;
    in_time(&said, None, now)?;
    let (_, token) = directory.token(&said.of).filter(|(_, token)| token.is_live(now)).ok_or(NotIn::Unknown)?;
    access(directory, token, now)
}

/// Whom a token lets in: an access token, or one that lasts.
///
/// # Errors
/// [`NotIn`].
pub fn identify<'d>(directory: &'d Directory, token: &str, now: Timestamp) -> Result<&'d Identity, NotIn> {
    if !token.starts_with(PREFIX) {
        return lasting(directory, token, now).map(|(identity, _)| identity).ok_or(NotIn::Unknown);
    }
    let key = directory.key().ok_or(NotIn::Unknown)?;
    let said = AccessToken::read(token.as_bytes(), key).ok_or(NotIn::Unknown)?;
    in_time(&said, Some(SIGNED_AGE_MAX), now)?;
    let (identity, token) = directory.token(&said.of).ok_or(NotIn::Unknown)?;
    if token.is_live(now) { Ok(identity) } else { Err(NotIn::Unknown) }
}

fn lasting<'d>(directory: &'d Directory, secret: &str, now: Timestamp) -> Option<(&'d Identity, &'d Token)> {
    let digest = digest_of(secret.as_bytes());
    let all = directory.identities().flat_map(|identity| identity.tokens.iter().map(move |token| (identity, token)));
    all.into_iter().find(|(_, token)| token.digest == digest && token.is_live(now))
}

fn access(directory: &Directory, token: &Token, now: Timestamp) -> Result<Tokens, NotIn> {
    let key = directory.key().ok_or(NotIn::Unknown)?;
    let ends = token.expires_at.map_or(now.plus(ACCESS_LASTS), |end| end.min(now.plus(ACCESS_LASTS)));
    let made = AccessToken { of: token.id.clone(), made_at: now, expires_at: ends };
    Ok(Tokens { access: made.sealed(key), refresh: None, lasts: ends.since(now) })
}

/// A refresh token says what an access token says, under a seal of its own: neither is taken for the other.
fn sealed(directory: &Directory, said: &AccessToken) -> Result<String, NotIn> {
    let key = directory.key().ok_or(NotIn::Unknown)?;
    let inner = said.sealed(key);
    let inner = inner.strip_prefix(PREFIX).unwrap_or(&inner);
    Ok(format!("{REFRESH_PREFIX}{}.{inner}", refresh_seal(&key.0, inner)))
}

fn refresh_seal(key: &[u8; 32], inner: &str) -> String {
    let key = blake3::derive_key("selfsame 2026-11 refresh tokens", key);
    URL_SAFE_NO_PAD.encode(authentication_code(&key, &[inner.as_bytes()]))
}

fn in_time(said: &AccessToken, age_max: Option<Span>, now: Timestamp) -> Result<(), NotIn> {
    let age = now.since(said.made_at);
    if said.made_at > now.plus(CLOCK_SKEW) {
        return Err(NotIn::FromTheFuture(age.abs()));
    }
    if age_max.is_some_and(|max| age > max) {
        return Err(NotIn::TooOld(age));
    }
    if now >= said.expires_at.plus(CLOCK_SKEW) {
        return Err(NotIn::Ended(now.since(said.expires_at)));
    }
    Ok(())
}

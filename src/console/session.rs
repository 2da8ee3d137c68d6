//! Sessions: who signed in, behind a random cookie. A session holds the caller's token in memory, ends by itself, and is gone with the process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngCore as _;
use subtle::ConstantTimeEq as _;

use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::credentials::Credentials;

/// How long a session lasts without a request.
const IDLE_MAX: Span = Span::from_hours(2);
/// How long a session lasts at most.
const AGE_MAX: Span = Span::from_hours(12);
/// Sessions at most; the one that was idle longest makes room.
const SESSIONS_MAX: usize = 1_000;

/// Somebody who signed in.
#[derive(Clone)]
pub(super) struct Session {
    /// Who it is, as the API says.
    pub(super) name: String,
    /// What every call shows.
    pub(super) credentials: Credentials,
    /// What every form of this session carries, so that no other site can send one.
    pub(super) form_token: String,
    began_at: Timestamp,
    used_at: Timestamp,
}

/// All sessions of this process, by the hash of what stands in their cookies.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<[u8; 32], Session>>>);

fn hash(cookie: &str) -> [u8; 32] {
    *blake3::hash(cookie.as_bytes()).as_bytes()
}

/// 256 random bits as text.
fn random() -> String {
    let mut bits = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bits);
    hex::encode(bits)
}

impl Sessions {
    /// Begins a session. Returns what is to stand in its cookie.
    pub(super) fn begin(&self, name: String, credentials: Credentials, now: Timestamp) -> String {
        let cookie = random();
        let session = Session { name, credentials, form_token: random(), began_at: now, used_at: now };
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| session.lives(now));
        if sessions.len() >= SESSIONS_MAX
            && let Some(idle) = sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(hash, _)| *hash)
        {
            sessions.remove(&idle);
        }
        sessions.insert(hash(&cookie), session);
        cookie
    }

    /// The session of a cookie, which lasts longer by being used; `None` when it has ended.
    pub(super) fn of(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let mut sessions = self.0.lock();
        let session = sessions.get_mut(&hash(cookie)).filter(|session| session.lives(now))?;
        session.used_at = session.used_at.max(now);
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&self, cookie: &str) {
        self.0.lock().remove(&hash(cookie));
    }
}

impl Session {
    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.used_at) < IDLE_MAX && now.since(self.began_at) < AGE_MAX
    }

    /// Whether a form is one of this session's.
    pub(super) fn sent(&self, form_token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000).plus(Span::from_minutes(minutes))
    }

    fn begun(sessions: &Sessions) -> String {
        sessions.begin("rita".to_owned(), Credentials::default(), minute(0))
    }

    #[test]
    fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_ended() {
        let sessions = Sessions::default();
        let idle = begun(&sessions);
        assert!(sessions.of(&idle, minute(119)).is_some(), "used, it lasts longer");
        assert!(sessions.of(&idle, minute(119 + 119)).is_some());
        assert!(sessions.of(&idle, minute(119 + 119 + 120)).is_none());
        let old = begun(&sessions);
        for hour in 1..12 {
            assert!(sessions.of(&old, minute(hour * 60)).is_some());
        }
        assert!(sessions.of(&old, minute(12 * 60)).is_none());
        let ended = begun(&sessions);
        sessions.end(&ended);
        assert!(sessions.of(&ended, minute(1)).is_none());
    }

    #[test]
    fn no_two_sessions_share_a_cookie_or_a_form_token() {
        let sessions = Sessions::default();
        let (a, b) = (begun(&sessions), begun(&sessions));
        let [of_a, of_b] = [&a, &b].map(|cookie| sessions.of(cookie, minute(1)).unwrap());
        assert_ne!(a, b);
        assert!(of_a.sent(&of_a.form_token) && !of_a.sent(&of_b.form_token) && !of_a.sent(""));
        assert!(sessions.of("", minute(1)).is_none());
    }

    #[test]
    fn many_sessions_take_no_more_room_than_a_thousand_and_the_idlest_goes_first() {
        let sessions = Sessions::default();
        let first = begun(&sessions);
        for _ in 0..SESSIONS_MAX {
            sessions.begin("sam".to_owned(), Credentials::default(), minute(1));
        }
        assert_eq!(sessions.0.lock().len(), SESSIONS_MAX);
        assert!(sessions.of(&first, minute(1)).is_none());
    }
}

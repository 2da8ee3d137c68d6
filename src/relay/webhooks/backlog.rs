//! What waits for a receiver, in order per referral, what is dead, and how far the feed was taken. A fold over records, so that what a log holds is what was
//! known when it was written. Pure: no file, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::pacing::Pacing;

/// A message for a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id, `webhook-id`.
    pub id: String,
    /// What it is in order with.
    pub referral: String,
    /// The kind of event.
    pub kind: String,
    /// Where in the feed the event stands.
    pub cursor: String,
    /// When the event was recorded. Unit: milliseconds since 1970.
    pub recorded_at_ms: i64,
    /// The body.
    pub body: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is to be sent; 0 for at once. Unit: milliseconds since 1970.
    pub due_ms: i64,
    /// How the last attempt failed.
    pub why: String,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The message.
    pub message: Message,
    /// When it was given up. Unit: milliseconds since 1970.
    pub died_at_ms: i64,
}

/// A change of a backlog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Record {
    /// Messages of the feed, and up to where it was taken with them.
    Took { messages: Vec<Message>, reached: String },
    /// A message was accepted.
    Delivered { id: String },
    /// An attempt failed.
    Missed { id: String, due_ms: i64, why: String },
    /// A message was given up.
    Died { id: String, at_ms: i64, why: String },
    /// Dead messages wait again.
    Revived { ids: Vec<String> },
    /// The feed is read again from here.
    Turned { after: String },
    /// Nothing is sent until it is switched on.
    SwitchedOff { why: String },
    /// Messages are sent again.
    SwitchedOn,
    /// Everything that the records before this one came to.
    Sum(Box<Sum>),
}

/// A backlog as a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    reached: String,
    waiting: Vec<Message>,
    dead: Vec<DeadLetter>,
    delivered: u64,
    retried: u64,
    off: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempted {
    /// The receiver has it.
    Accepted,
    /// It answered something else, or nothing. `pause_ms` is what it asked for.
    Missed {
        /// How.
        why: String,
        /// Not before so long. Unit: milliseconds.
        pause_ms: i64,
    },
    /// It wants no more messages (410).
    Gone,
}

/// What waits for a receiver.
#[derive(Debug, Default)]
pub struct Backlog {
    reached: String,
    /// By referral, the oldest first; none is empty.
    lanes: BTreeMap<String, VecDeque<(u64, Message)>>,
    /// The lanes of messages that wait, by message.
    waiting: BTreeMap<String, String>,
    /// The first message of each lane that is not on its way: when it is due, its number, its lane.
    due: BTreeSet<(i64, u64, String)>,
    dead: BTreeMap<String, DeadLetter>,
    next_number: u64,
    delivered: u64,
    retried: u64,
    off: String,
}

impl Backlog {
    /// Up to where the feed was taken. Empty before everything.
    #[must_use]
    pub fn reached(&self) -> &str {
        &self.reached
    }

    /// Messages that wait, those on their way included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Messages that were accepted.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Attempts that failed.
    #[must_use]
    pub const fn retried(&self) -> u64 {
        self.retried
    }

    /// Why nothing is sent; empty while something is.
    #[must_use]
    pub fn off(&self) -> &str {
        &self.off
    }

    /// What is dead, what died first first.
    #[must_use]
    pub fn dead(&self) -> Vec<&DeadLetter> {
        let mut dead: Vec<&DeadLetter> = self.dead.values().collect();
        dead.sort_by_key(|letter| (letter.died_at_ms, &letter.message.id));
        dead
    }

    /// How many are dead.
    #[must_use]
    pub fn dead_count(&self) -> usize {
        self.dead.len()
    }

    /// One that is dead.
    #[must_use]
    pub fn dead_letter(&self, id: &str) -> Option<&DeadLetter> {
        self.dead.get(id)
    }

    /// When the oldest that waits was recorded; 0 when none waits. Unit: milliseconds since 1970.
    #[must_use]
    pub fn oldest_waiting_ms(&self) -> i64 {
        self.lanes.values().filter_map(VecDeque::front).map(|(_, message)| message.recorded_at_ms).min().unwrap_or(0)
    }

    /// How the last attempt of what waits longest failed; empty when none did.
    #[must_use]
    pub fn last_failure(&self) -> &str {
        let first = self.lanes.values().filter_map(VecDeque::front).filter(|(_, message)| message.attempts > 0);
        first.min_by_key(|(number, _)| *number).map_or("", |(_, message)| &message.why)
    }

    /// When something is to be sent next. Unit: milliseconds since 1970.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _, _)| *due_ms)
    }

    /// A message that is to be sent now. It is on its way from then on: nothing of its referral is given out until a record says how it ended.
    pub(super) fn give_out(&mut self, now_ms: i64) -> Option<Message> {
        let (due_ms, _, _) = self.due.first()?;
        if *due_ms > now_ms {
            return None;
        }
        let (_, _, referral) = self.due.pop_first()?;
        self.lanes.get(&referral)?.front().map(|(_, message)| message.clone())
    }

    /// What an attempt means.
    pub(super) fn judge(&self, id: &str, ended: Attempted, now_ms: i64, pacing: &Pacing, chance: f64) -> Vec<Record> {
        let id = id.to_owned();
        let failures = self.message(&id).map_or(0, |message| message.attempts) + 1;
        match ended {
            Attempted::Accepted => vec![Record::Delivered { id }],
            Attempted::Gone => {
                let why = "it answered 410: it wants no more messages".to_owned();
                vec![Record::Missed { id, due_ms: now_ms, why: why.clone() }, Record::SwitchedOff { why }]
            }
            Attempted::Missed { why, pause_ms } => match pacing.after(failures, chance) {
                Some(wait) => {
                    let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(pause_ms);
                    vec![Record::Missed { id, due_ms: now_ms.saturating_add(wait_ms), why }]
                }
                None => vec![Record::Died { id, at_ms: now_ms, why }],
            },
        }
    }

    fn message(&self, id: &str) -> Option<&Message> {
        let lane = self.lanes.get(self.waiting.get(id)?)?;
        lane.iter().map(|(_, message)| message).find(|message| message.id == id)
    }

    /// Changes.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Took { messages, reached } => {
                for message in messages {
                    self.enqueue(message);
                }
                self.reached = reached;
            }
            Record::Delivered { id } => {
                if self.take_first(&id).is_some() {
                    self.delivered += 1;
                }
            }
            Record::Missed { id, due_ms, why } => {
                let Some(referral) = self.waiting.get(&id) else { return };
                let first = self.lanes.get_mut(referral).and_then(VecDeque::front_mut).filter(|(_, first)| first.id == id);
                let Some((number, message)) = first else { return };
                message.attempts += 1;
                message.due_ms = due_ms;
                message.why = why;
                self.due.insert((due_ms, *number, referral.clone()));
                self.retried += 1;
            }
            Record::Died { id, at_ms, why } => {
                if let Some(message) = self.take_first(&id) {
                    let attempts = message.attempts + 1;
                    self.dead.insert(id, DeadLetter { message: Message { attempts, why, ..message }, died_at_ms: at_ms });
                }
            }
            Record::Revived { ids } => {
                for id in ids {
                    if let Some(DeadLetter { message, .. }) = self.dead.remove(&id) {
                        self.enqueue(Message { attempts: 0, due_ms: 0, ..message });
                    }
                }
            }
            Record::Turned { after } => self.reached = after,
            Record::SwitchedOff { why } => self.off = why,
            Record::SwitchedOn => self.off.clear(),
            Record::Sum(sum) => *self = Self::of(*sum),
        }
    }

    fn of(sum: Sum) -> Self {
        let Sum { reached, waiting, dead, delivered, retried, off } = sum;
        let mut backlog = Self { reached, delivered, retried, off, ..Self::default() };
        for message in waiting {
            backlog.enqueue(message);
        }
        backlog.dead = dead.into_iter().map(|letter| (letter.message.id.clone(), letter)).collect();
        backlog
    }

    /// Everything as one record.
    pub(super) fn sum(&self) -> Record {
        let mut waiting: Vec<&(u64, Message)> = self.lanes.values().flatten().collect();
        waiting.sort_by_key(|(number, _)| *number);
        Record::Sum(Box::new(Sum {
            reached: self.reached.clone(),
            waiting: waiting.into_iter().map(|(_, message)| message.clone()).collect(),
            dead: self.dead.values().cloned().collect(),
            delivered: self.delivered,
            retried: self.retried,
            off: self.off.clone(),
        }))
    }

    /// Puts a message behind those of its referral. One that waits already is not doubled; one that is dead waits again.
    fn enqueue(&mut self, message: Message) {
        if self.waiting.contains_key(&message.id) {
            return;
        }
        self.dead.remove(&message.id);
        let (number, referral) = (self.next_number, message.referral.clone());
        self.next_number += 1;
        self.waiting.insert(message.id.clone(), referral.clone());
        let lane = self.lanes.entry(referral.clone()).or_default();
        if lane.is_empty() {
            self.due.insert((message.due_ms, number, referral));
        }
        lane.push_back((number, message));
    }

    /// Takes the first message of a lane out, if it is this one; the next one is due then.
    fn take_first(&mut self, id: &str) -> Option<Message> {
        let referral = self.waiting.get(id)?.clone();
        let lane = self.lanes.get_mut(&referral)?;
        lane.front().filter(|(_, message)| message.id == id)?;
        let (number, message) = lane.pop_front()?;
        self.due.remove(&(message.due_ms, number, referral.clone()));
        match lane.front() {
            Some((number, next)) => {
                self.due.insert((next.due_ms, *number, referral));
            }
            None => {
                self.lanes.remove(&referral);
            }
        }
        self.waiting.remove(id);
        Some(message)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    pub(in crate::relay::webhooks) fn message(id: &str, referral: &str) -> Message {
        Message {
            id: id.to_owned(),
            referral: referral.to_owned(),
            kind: "decided".to_owned(),
            cursor: "1-00000000000000ab".to_owned(),
            recorded_at_ms: 7,
            body: "{}".to_owned(),
            attempts: 0,
            due_ms: 0,
            why: String::new(),
        }
    }

    fn took(messages: &[(&str, &str)]) -> Record {
        let messages = messages.iter().map(|(id, referral)| message(id, referral)).collect();
        Record::Took { messages, reached: "9".to_owned() }
    }

    fn missed(why: &str) -> Attempted {
        Attempted::Missed { why: why.to_owned(), pause_ms: 0 }
    }

    fn settle(backlog: &mut Backlog, id: &str, ended: Attempted, now_ms: i64) {
        let pacing = Pacing::new(&[1.0, 10.0]);
        for record in backlog.judge(id, ended, now_ms, &pacing, 0.5) {
            backlog.apply(record);
        }
    }

    #[test]
    fn a_referral_waits_for_its_earlier_message_and_others_go_on() {
        let mut backlog = Backlog::default();
        backlog.apply(took(&[("a1", "a"), ("a2", "a"), ("b1", "b")]));
        assert_eq!([backlog.give_out(0).unwrap().id, backlog.give_out(0).unwrap().id], ["a1", "b1"]);
        assert_eq!(backlog.give_out(0), None);
        settle(&mut backlog, "a1", missed("503"), 0);
        settle(&mut backlog, "b1", Attempted::Accepted, 0);
        assert_eq!((backlog.give_out(999), backlog.next_due_ms(), backlog.last_failure()), (None, Some(1_000), "503"));
        assert_eq!(backlog.give_out(1_000).unwrap().id, "a1");
        settle(&mut backlog, "a1", Attempted::Accepted, 1_000);
        assert_eq!(backlog.give_out(1_000).unwrap().id, "a2");
        assert_eq!((backlog.waiting(), backlog.delivered(), backlog.retried()), (1, 2, 1));
    }

    #[test]
    fn what_fails_for_the_last_time_is_dead_and_lets_the_next_one_go() {
        let mut backlog = Backlog::default();
        backlog.apply(took(&[("a1", "a"), ("a2", "a")]));
        let mut now_ms = 0;
        for _ in 0..3 {
            assert_eq!(backlog.give_out(now_ms).unwrap().id, "a1");
            settle(&mut backlog, "a1", missed("no answer"), now_ms);
            now_ms += 100_000;
        }
        let dead = backlog.dead_letter("a1").unwrap();
        assert_eq!((dead.message.attempts, dead.message.why.as_str(), dead.died_at_ms), (3, "no answer", 200_000));
        assert_eq!(backlog.give_out(now_ms).unwrap().id, "a2");
        // A dead one that is asked for again waits behind what is on its way.
        backlog.apply(Record::Revived { ids: vec!["a1".to_owned()] });
        assert_eq!((backlog.dead().len(), backlog.give_out(now_ms)), (0, None));
        settle(&mut backlog, "a2", Attempted::Accepted, now_ms);
        assert_eq!(backlog.give_out(now_ms).unwrap().attempts, 0);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_and_for_no_more_messages() {
        let mut backlog = Backlog::default();
        backlog.apply(took(&[("a1", "a")]));
        backlog.give_out(0).unwrap();
        settle(&mut backlog, "a1", Attempted::Missed { why: "503".to_owned(), pause_ms: 60_000 }, 0);
        assert_eq!(backlog.next_due_ms(), Some(60_000));
        backlog.give_out(60_000).unwrap();
        settle(&mut backlog, "a1", Attempted::Gone, 60_000);
        assert!(backlog.off().contains("410") && backlog.waiting() == 1);
        backlog.apply(Record::SwitchedOn);
        assert_eq!(backlog.off(), "");
        assert_eq!(backlog.give_out(60_000).unwrap().id, "a1");
    }

    #[test]
    fn a_replay_doubles_nothing_that_waits_and_wakes_what_is_dead() {
        let mut backlog = Backlog::default();
        backlog.apply(took(&[("a1", "a"), ("b1", "b")]));
        backlog.give_out(0).unwrap();
        backlog.apply(Record::Died { id: "a1".to_owned(), at_ms: 0, why: String::new() });
        backlog.apply(Record::Turned { after: "3".to_owned() });
        assert_eq!(backlog.reached(), "3");
        backlog.apply(took(&[("a1", "a"), ("b1", "b")]));
        assert_eq!((backlog.waiting(), backlog.dead().len(), backlog.reached()), (2, 0, "9"));
    }

    proptest! {
        /// Whatever happens to attempts, each referral's messages are first given out in order, none is lost, and a sum is what it sums up.
        #[test]
        fn nothing_is_lost_and_no_referral_is_out_of_order(
            lanes in proptest::collection::vec(0_u8..4, 1..30),
            ends in proptest::collection::vec(0_u8..3, 300),
        ) {
            let messages: Vec<(String, String)> =
                lanes.iter().enumerate().map(|(at, lane)| (format!("{at:03}"), lane.to_string())).collect();
            let pairs: Vec<(&str, &str)> = messages.iter().map(|(id, lane)| (id.as_str(), lane.as_str())).collect();
            let mut backlog = Backlog::default();
            backlog.apply(took(&pairs));
            let mut first: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let (mut now_ms, mut on_their_way) = (0, Vec::new());
            for end in ends {
                now_ms += 700;
                while let Some(message) = backlog.give_out(now_ms) {
                    let seen = first.entry(message.referral.clone()).or_default();
                    if seen.last() != Some(&message.id) {
                        seen.push(message.id.clone());
                    }
                    on_their_way.push(message.id);
                }
                let Some(id) = on_their_way.pop() else { continue };
                let ended = if end == 0 { Attempted::Accepted } else { missed("500") };
                settle(&mut backlog, &id, ended, now_ms);
                // A restart at any moment: what was on its way is due again.
                if end == 2 {
                    let mut again = Backlog::default();
                    again.apply(backlog.sum());
                    prop_assert_eq!(again.sum(), backlog.sum());
                    backlog = again;
                    on_their_way.clear();
                }
            }
            let (delivered, dead) = (usize::try_from(backlog.delivered()).unwrap(), backlog.dead().len());
            prop_assert_eq!(delivered + dead + backlog.waiting(), messages.len());
            for seen in first.values() {
                prop_assert!(seen.is_sorted(), "{:?}", seen);
            }
        }
    }
}

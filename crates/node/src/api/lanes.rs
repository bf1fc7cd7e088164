//! The order of requests of one key on a connection.
//!
//! Answers carry only the key. So a DHT ASK or a DHT PUT IF waits until every earlier request of its key
//! on the connection has been answered, and every later request of the key waits for it. GETs and PUTs
//! among themselves run side by side, as they always did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use voiddht_wire::Key;

/// Requests of one connection by key. No more of them than a connection may have unanswered.
#[derive(Debug)]
pub(crate) struct Lanes<T>(Mutex<HashMap<Key, Lane<T>>>);

#[derive(Debug)]
struct Lane<T> {
    /// Requests that are being answered.
    under_way: usize,
    /// Whether one of those that are here demands an order.
    is_ordered: bool,
    /// Those that wait, each with whether it demands an order.
    waiting: VecDeque<(T, bool)>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T> Lanes<T> {
    /// A request has come. It comes back if it may begin; otherwise it waits.
    pub(crate) fn begin(&self, key: Key, request: T, demands_order: bool) -> Option<T> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(key).or_insert_with(|| Lane {
            under_way: 0,
            is_ordered: false,
            waiting: VecDeque::new(),
        });
        let must_wait = lane.under_way > 0 && (demands_order || lane.is_ordered);
        lane.is_ordered |= demands_order;
        if must_wait || !lane.waiting.is_empty() {
            lane.waiting.push_back((request, demands_order));
            return None;
        }
        lane.under_way += 1;
        Some(request)
    }

    /// A request has been answered. What comes back may begin now.
    pub(crate) fn end(&self, key: &Key) -> Vec<T> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lane) = lanes.get_mut(key) else { return Vec::new() };
        lane.under_way = lane.under_way.saturating_sub(1);
        let mut released = Vec::new();
        if lane.under_way == 0 {
            // Up to the next one that demands an order: that one alone, or all before it.
            while let Some((_, demands_order)) = lane.waiting.front() {
                let demands_order = *demands_order;
                if demands_order && !released.is_empty() {
                    break;
                }
                released.extend(lane.waiting.pop_front().map(|(request, _)| request));
                if demands_order {
                    break;
                }
            }
            lane.under_way = released.len();
        }
        if lane.under_way == 0 {
            lanes.remove(key);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key::from_bytes([number; 32])
    }

    #[test]
    fn gets_and_puts_of_a_key_run_side_by_side() {
        let lanes = Lanes::default();
        for request in 0..3 {
            assert_eq!(lanes.begin(key(1), request, false), Some(request));
        }
        for _ in 0..3 {
            assert!(lanes.end(&key(1)).is_empty());
        }
        assert!(lanes.0.lock().unwrap().is_empty());
    }

    #[test]
    fn an_ordered_request_waits_for_all_before_it_and_all_after_it_wait() {
        let lanes = Lanes::default();
        assert_eq!(lanes.begin(key(1), "get", false), Some("get"));
        assert_eq!(lanes.begin(key(1), "put", false), Some("put"));
        assert_eq!(lanes.begin(key(1), "ask", true), None);
        assert_eq!(lanes.begin(key(1), "get 2", false), None);
        assert_eq!(lanes.begin(key(1), "put 2", false), None);
        assert_eq!(lanes.begin(key(1), "put if", true), None);
        assert_eq!(lanes.begin(key(2), "ask", true), Some("ask"), "another key");
        assert!(lanes.end(&key(1)).is_empty());
        assert_eq!(lanes.end(&key(1)), ["ask"]);
        assert_eq!(lanes.end(&key(1)), ["get 2", "put 2"]);
        assert!(lanes.end(&key(1)).is_empty());
        assert_eq!(lanes.end(&key(1)), ["put if"]);
        assert!(lanes.end(&key(1)).is_empty());
        assert!(lanes.end(&key(2)).is_empty());
        assert!(lanes.0.lock().unwrap().is_empty());
    }
}

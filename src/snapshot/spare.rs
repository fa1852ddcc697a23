//! Memory follows the present: what a crowd of processes took is given back when the crowd has gone.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Spare room for so many elements is never given back: growing again would cost more.
const SMALL: usize = 1024;

/// How much room is right for so many elements; `None` if what there is may stay.
fn right(capacity: usize, used: usize) -> Option<usize> {
    (capacity > SMALL && capacity / 2 > used).then(|| (used + used / 4).max(SMALL / 2))
}

/// Gives back the room of a list that `used` elements do not need. `used` is more than its length for one that is filled again each
/// time.
pub fn give_back<T>(list: &mut Vec<T>, used: usize) {
    if let Some(room) = right(list.capacity(), used.max(list.len())) {
        list.shrink_to(room);
    }
}

/// The same for a queue.
pub fn give_back_queue<T>(queue: &mut VecDeque<T>) {
    if let Some(room) = right(queue.capacity(), queue.len()) {
        queue.shrink_to(room);
    }
}

/// The same for a map.
pub fn give_back_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if let Some(room) = right(map.capacity(), map.len()) {
        map.shrink_to(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_of_a_crowd_is_given_back_and_a_little_is_kept() {
        let mut list: Vec<u64> = (0..100_000).collect();
        give_back(&mut list, 0);
        assert!(list.capacity() >= 100_000, "all of it is used");
        list.truncate(50);
        give_back(&mut list, 90_000);
        assert!(list.capacity() >= 100_000, "all of it will be used");
        give_back(&mut list, 0);
        assert!((50..=SMALL).contains(&list.capacity()), "{}", list.capacity());
        assert_eq!(list.len(), 50);
        let mut map: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        map.retain(|n, _| *n < 10);
        give_back_map(&mut map);
        assert!(map.capacity() <= 2 * SMALL && map.len() == 10, "{}", map.capacity());
        let mut queue: VecDeque<u32> = (0..100_000).collect();
        queue.drain(..);
        give_back_queue(&mut queue);
        assert!(queue.capacity() <= SMALL, "{}", queue.capacity());
    }
}

//! Values by TID in one piece of memory: most processes have one task, for which a tree would keep room for eleven.

/// A map from TIDs to values, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByTid<T>(Vec<(i32, T)>);

impl<T> Default for ByTid<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByTid<T> {
    /// The number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the map has no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a task.
    #[must_use]
    pub fn get(&self, tid: i32) -> Option<&T> {
        let at = self.0.binary_search_by_key(&tid, |(tid, _)| *tid).ok()?;
        Some(&self.0[at].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, tid: i32) -> Option<&mut T> {
        let at = self.0.binary_search_by_key(&tid, |(tid, _)| *tid).ok()?;
        Some(&mut self.0[at].1)
    }

    /// Adds a value, unless the task has one.
    pub fn insert_new(&mut self, tid: i32, value: T) {
        if let Err(at) = self.0.binary_search_by_key(&tid, |(tid, _)| *tid) {
            self.0.insert(at, (tid, value));
        }
    }

    /// All with their TIDs.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.0.iter().map(|(tid, value)| (*tid, value))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut T)> {
        self.0.iter_mut().map(|(tid, value)| (*tid, value))
    }

    /// The TIDs.
    pub fn tids(&self) -> impl Iterator<Item = i32> {
        self.0.iter().map(|(tid, _)| *tid)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<T> FromIterator<(i32, T)> for ByTid<T> {
    fn from_iter<I: IntoIterator<Item = (i32, T)>>(all: I) -> Self {
        let mut all: Vec<(i32, T)> = all.into_iter().collect();
        all.sort_by_key(|(tid, _)| *tid);
        all.dedup_by_key(|(tid, _)| *tid);
        all.shrink_to_fit();
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_tid_in_ascending_order() {
        let mut map: ByTid<char> = [(7, 'b'), (3, 'a'), (9, 'c')].into_iter().collect();
        map.insert_new(8, 'x');
        map.insert_new(7, 'y');
        assert_eq!(map.iter().collect::<Vec<_>>(), [(3, &'a'), (7, &'b'), (8, &'x'), (9, &'c')]);
        *map.get_mut(9).unwrap() = 'z';
        assert_eq!((map.get(9), map.get(4), map.len(), map.is_empty()), (Some(&'z'), None, 4, false));
        assert_eq!(map.tids().zip(map.values()).last(), Some((9, &'z')));
    }
}

//! Several cases of one test at once: most of what they do is waiting.

/// Does `act` with each item, `most` at a time.
pub fn at_a_time<T: Send>(most: usize, items: impl IntoIterator<Item = T>, act: impl Fn(T) + Sync) {
    let items = std::sync::Mutex::new(items.into_iter().collect::<Vec<T>>().into_iter());
    let next = || items.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..most {
            scope.spawn(|| {
                while let Some(item) = next() {
                    act(item);
                }
            });
        }
    });
}

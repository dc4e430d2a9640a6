//! Answers that fit into a frame.

use std::io;

use serde::Serialize;

/// Fills a page with so many items and bytes at the most, but at least one item. Says whether any are
/// left over.
pub(in super::super) fn fill<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    bytes: usize,
) -> (Vec<T>, bool) {
    let mut page = Vec::new();
    let mut size = 0;
    for item in items {
        size += json_len(&item) + ",".len();
        let full = page.len() >= most || size > bytes;
        if full && !page.is_empty() {
            return (page, true);
        }
        page.push(item);
    }
    (page, false)
}

/// How many bytes it has as JSON. bincode is shorter.
pub(in super::super) fn json_len<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    // Nothing in the protocol's types can fail to be written; what could would fill any page.
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX / 2,
    }
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_by_number_and_by_bytes() {
        // Each has 12 bytes with its quotes, and a comma.
        let items = || vec!["0123456789"; 10];
        assert_eq!(fill(items(), 100, 130), (items(), false));
        let (page, more) = fill(items(), 100, 129);
        assert_eq!((page.len(), more), (9, true));
        let (page, more) = fill(items(), 3, 130);
        assert_eq!((page.len(), more), (3, true));
        let (page, more) = fill(items(), 10, 130);
        assert_eq!((page.len(), more), (10, false));
    }

    #[test]
    fn a_page_has_one_item_at_least_or_nobody_would_get_on() {
        assert_eq!(fill(["long", "long"], 10, 1), (vec!["long"], true));
        assert_eq!(fill(["a", "b"], 0, 100), (vec!["a"], true));
        assert_eq!(fill(Vec::<u8>::new(), 10, 1), (vec![], false));
    }
}

//! Cutting a page out of a stream of items.

use super::{Cursor, Page};
use crate::ledger::CommitId;

/// Counts what comes by, and says what of it is on the page.
pub(super) struct Pager<'p> {
    /// The place after which the page may begin, until it was met.
    ahead: Option<&'p Cursor>,
    offset: usize,
    left: Option<usize>,
    /// Items so far.
    pub total: usize,
    /// There was an item after the page.
    pub more: bool,
    /// The last item of the page.
    pub last: Option<Cursor>,
}

impl<'p> Pager<'p> {
    pub fn new(page: &'p Page) -> Self {
        Self {
            ahead: page.after.as_ref(),
            offset: page.offset,
            left: page.limit,
            total: 0,
            more: false,
            last: None,
        }
    }

    /// Takes note of an entry, and gives those of the positions of its items that are on the page. An entry that does
    /// not fit comes by with no positions: the page may begin after it.
    pub fn pass<'n>(&mut self, commit: CommitId, task_id: &str, positions: &'n [u32]) -> &'n [u32] {
        self.total += positions.len();
        let mut rest = positions;
        if let Some(cursor) = self.ahead {
            if cursor.commit != commit || cursor.task_id.as_str() != task_id {
                return &[];
            }
            let begin = positions.partition_point(|position| *position <= cursor.position);
            rest = &positions[begin..];
            self.ahead = None;
        }
        let skipped = self.offset.min(rest.len());
        self.offset -= skipped;
        rest = &rest[skipped..];
        let taken = self.left.map_or(rest.len(), |left| left.min(rest.len()));
        self.left = self.left.map(|left| left - taken);
        self.more |= taken < rest.len();
        &rest[..taken]
    }

    /// What comes by now is after the place where the page begins, whether or not that has come by.
    pub fn arrive(&mut self) {
        self.ahead = None;
    }

    /// Whether the page is full, and it is known whether there is more.
    pub fn is_done(&self) -> bool {
        self.more
    }

    /// Whether the place after which the page was to begin has not come by.
    pub fn has_missed(&self) -> bool {
        self.ahead.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::TaskId;

    #[test]
    fn a_page_begins_after_its_cursor_and_offset_and_ends_at_its_limit() {
        let commit = |digit: &str| CommitId::parse(&digit.repeat(40)).unwrap();
        let cursor = Cursor { commit: commit("b"), task_id: TaskId::new("b").unwrap(), position: 1 };
        let page = Page { limit: Some(3), offset: 1, after: Some(cursor), reverse: false };
        let mut pager = Pager::new(&page);
        assert_eq!(pager.pass(commit("a"), "a", &[0, 1]), [0_u32; 0]);
        assert!(pager.has_missed());
        assert_eq!(pager.pass(commit("b"), "b", &[0, 1, 2, 5]), [5]);
        assert_eq!(pager.pass(commit("c"), "c", &[0]), [0]);
        assert!(!pager.is_done());
        assert_eq!(pager.pass(commit("d"), "d", &[3, 4]), [3]);
        assert!(pager.is_done() && !pager.has_missed());
        assert_eq!(pager.total, 9);
    }
}

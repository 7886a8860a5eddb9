//! Pages of a list, newest first (AIP-158). Ids sort by time, so a page goes on
//! below the last id of the one before: stable while rows are added. A page ends early
//! rather than to grow beyond what a client takes in one message. A token is good for the list that it
//! came from, with the same filters, and for no other.

use prost::Message;
use uuid::Uuid;

use crate::Error;

const DEFAULT: i32 = 50;
const MOST: i32 = 200;
/// Encoded, a page has no more bytes than this, unless its only entry has: a quarter of what gRPC's
/// clients take in one message.
const MOST_BYTES: usize = 1024 * 1024;

/// A page that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    size: usize,
    /// Only ids below this one: `where ($1::uuid is null or id < $1)`.
    pub below: Option<Uuid>,
    /// Which list it is of.
    list: u32,
}

impl Page {
    /// Reads `pageSize` (0: 50; at most 200) and `pageToken` (empty: the first page). `list` says which list
    /// it is, and how it is filtered: lists that differ in that have different numbers.
    pub fn parse(size: i32, token: &str, list: u32) -> Result<Self, Error> {
        if size < 0 {
            return Err(Error::violation("pageSize", "must be 0 or more"));
        }
        let size = if size == 0 { DEFAULT } else { size.min(MOST) };
        let below = if token.is_empty() {
            None
        } else {
            let bad = || Error::violation("pageToken", "is not a page token of this list");
            let id = token.get(..32).and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(bad)?;
            if self::token(id, list) != token {
                return Err(bad());
            }
            Some(id)
        };
        Ok(Self { size: usize::try_from(size).unwrap_or(0), below, list })
    }

    /// How many rows to ask for: one more than the page, to see whether there is another.
    pub fn limit(self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX) + 1
    }

    /// Cuts the entries, each with its id, to the page; answers them with the next page's token,
    /// empty on the last.
    pub fn cut<M: Message>(self, entries: impl IntoIterator<Item = (Uuid, M)>) -> (Vec<M>, String) {
        let (mut page, mut last, mut bytes) = (Vec::new(), None, 0_usize);
        for (id, entry) in entries {
            bytes = bytes.saturating_add(entry.encoded_len());
            if page.len() == self.size || (bytes > MOST_BYTES && !page.is_empty()) {
                return (page, last.map_or_else(String::new, |id| token(id, self.list)));
            }
            page.push(entry);
            last = Some(id);
        }
        (page, String::new())
    }

    /// The same of a list that was looked through down to an id, and not to its end: the next page goes on
    /// there, however few entries this one has.
    pub fn cut_short<M: Message>(
        self,
        entries: impl IntoIterator<Item = (Uuid, M)>,
        seen: Option<Uuid>,
    ) -> (Vec<M>, String) {
        let (page, next) = self.cut(entries);
        let next = seen.filter(|_| next.is_empty()).map_or(next, |id| token(id, self.list));
        (page, next)
    }
}

fn token(last: Uuid, list: u32) -> String {
    format!("{}{list:08x}", last.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_meets_everything_once() {
        let mut all: Vec<Uuid> = (0..7).map(|_| Uuid::now_v7()).collect();
        all.sort();
        all.reverse();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Page::parse(3, &token, 7).expect("token");
            let rows: Vec<Uuid> = all
                .iter()
                .copied()
                .filter(|id| page.below.is_none_or(|below| *id < below))
                .take(usize::try_from(page.limit()).expect("small"))
                .collect();
            let (rows, next) = page.cut(rows.into_iter().map(|id| (id, id.to_string())));
            seen.extend(rows);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_is_of_a_size_that_a_client_takes() {
        let entry = |bytes: usize| (Uuid::now_v7(), "x".repeat(bytes));
        let page = Page::parse(200, "", 7).expect("a page");
        let (half, whole) = (MOST_BYTES / 2 - 10, 2 * MOST_BYTES);
        for (sizes, fit) in [(vec![half; 5], 2), (vec![whole, 1], 1), (vec![1, whole], 1)] {
            let (cut, next) = page.cut(sizes.into_iter().map(entry));
            assert_eq!(cut.len(), fit);
            assert_ne!(next, "");
        }
        assert_eq!(page.cut([entry(whole)]).1, "");
    }

    #[test]
    fn a_list_that_was_not_looked_through_goes_on_where_it_was_left() {
        let page = Page::parse(1, "", 7).expect("a page");
        let (first, seen) = (Uuid::now_v7(), Uuid::now_v7());
        let entry = |id: Uuid| (id, String::new());
        let next =
            |entries: Vec<Uuid>, seen| page.cut_short(entries.into_iter().map(entry), seen).1;
        assert_eq!(next(vec![], Some(seen)), token(seen, 7));
        assert_eq!(next(vec![first], Some(seen)), token(seen, 7));
        assert_eq!(next(vec![first, seen], Some(seen)), token(first, 7), "the page is full");
        assert_eq!(next(vec![first], None), "");
    }

    #[test]
    fn a_foreign_token_is_refused() {
        assert!(Page::parse(10, "nonsense", 7).is_err());
        assert!(Page::parse(-1, "", 7).is_err());
        let mine = token(Uuid::now_v7(), 7);
        assert!(Page::parse(10, &mine, 7).is_ok());
        // Of another list, spelled otherwise, or longer.
        for (foreign, list) in [(mine.clone(), 8), (mine.to_uppercase(), 7), (mine + "0", 7)] {
            assert!(Page::parse(10, &foreign, list).is_err(), "{foreign}");
        }
    }
}

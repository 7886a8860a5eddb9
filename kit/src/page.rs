//! Pages of a list, newest first (AIP-158). Ids sort by time, so a page goes on
//! below the last id of the one before: stable while rows are added.

use uuid::Uuid;

use crate::Error;

const DEFAULT: i32 = 50;
const MOST: i32 = 200;

/// A page that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    size: usize,
    /// Only ids below this one: `where ($1::uuid is null or id < $1)`.
    pub below: Option<Uuid>,
}

impl Page {
    /// Reads `pageSize` (0: 50; at most 200) and `pageToken` (empty: the first page).
    pub fn parse(size: i32, token: &str) -> Result<Self, Error> {
        if size < 0 {
            return Err(Error::violation("pageSize", "must be 0 or more"));
        }
        let size = if size == 0 { DEFAULT } else { size.min(MOST) };
        let below = if token.is_empty() {
            None
        } else {
            let bad = || Error::violation("pageToken", "is not one that this list gave");
            let id = Uuid::try_parse(token).ok().filter(|_| token.len() == 32);
            Some(id.ok_or_else(bad)?)
        };
        Ok(Self { size: usize::try_from(size).unwrap_or(0), below })
    }

    /// How many rows to ask for: one more than the page, to see whether there is another.
    pub fn limit(self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX) + 1
    }

    /// Cuts the rows to the page and answers them with the next page's token, empty on the last.
    pub fn cut<T>(self, mut rows: Vec<T>, id: impl FnOnce(&T) -> Uuid) -> (Vec<T>, String) {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let token = rows.last().filter(|_| more).map(id);
        (rows, token.map(|id| id.simple().to_string()).unwrap_or_default())
    }
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
            let page = Page::parse(3, &token).expect("token");
            let rows: Vec<Uuid> = all
                .iter()
                .copied()
                .filter(|id| page.below.is_none_or(|below| *id < below))
                .take(usize::try_from(page.limit()).expect("small"))
                .collect();
            let (rows, next) = page.cut(rows, |id| *id);
            seen.extend(rows);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_foreign_token_is_refused() {
        assert!(Page::parse(10, "nonsense").is_err());
        assert!(Page::parse(-1, "").is_err());
    }
}

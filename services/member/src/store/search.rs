//! The SQL of lists of members.

use base::{Error, id::Uuid, page::Page};
use pg::Reader;

use super::Member;

/// Reads a page of all members, newest first.
pub(crate) async fn list(reader: &mut Reader, page: Page) -> Result<Vec<Member>, Error> {
    let sql = concat!(select_members!(), " where id < $1 order by id desc limit $2");
    let rows = reader.query(sql, &[&page.below.unwrap_or(Uuid::max()), &page.limit()]).await?;
    rows.iter().map(Member::from_row).collect()
}

/// Reads a page of the members in whose address or name all these words are found, newest first.
pub(crate) async fn find(
    reader: &mut Reader,
    page: Page,
    words: &[&str],
) -> Result<Vec<Member>, Error> {
    // Fences: the limit would have all members walked, the newest first; and the words are looked for in no
    // more than it takes to fill the page.
    let sql = concat!(
        "select ",
        columns!(),
        " from (
           select id as found from (
             select id from member
             where grams(email || e'\n' || display_name) @> grams($1) offset 0) m
           where id < $2 order by id desc offset 0) f,
         lateral (",
        select_members!(),
        " where id = found offset 0) p
         where has_words(email || e'\n' || display_name, $3)
         order by found desc limit $4"
    );
    let (below, together) = (page.below.unwrap_or(Uuid::max()), words.join(" "));
    let rows = reader.query(sql, &[&together, &below, &words, &page.limit()]).await?;
    rows.iter().map(Member::from_row).collect()
}

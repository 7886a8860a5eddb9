//! What a field may hold: values at both ends of its range, and one beyond each.

use serde_json::{Value, json};

/// The range of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// One line of so many characters; trimmed.
    Text(usize, usize),
    /// The same, on several lines.
    Lines(usize, usize),
    /// The same, taken as it is.
    Verbatim(usize, usize),
    Email,
    Number(i64, i64),
    /// So many entries; the one that is there, so often.
    Entries(usize, usize),
    /// Must be there.
    Required,
    Optional,
    Id,
    /// Narrows down a list: an id, or nothing.
    Filter,
    PageSize,
    PageToken,
    EventId,
    /// One of these numbers; the last is the highest that the contract knows.
    Enum(&'static [i32]),
    /// This text and no other.
    Exactly(&'static str),
    /// Texts like the first, and none like the second.
    Like(&'static [&'static str], &'static [&'static str]),
    /// This number and no other.
    Only(i64),
    /// A name of something that there is; others are not found.
    Name,
    Duration,
    /// Compared with what there is, and not stored.
    Compared,
}

const BOWL: &str = "🍚";

impl Limit {
    /// Values that are taken. None says that there are none to be made up: what there is is one.
    pub(crate) fn within(self) -> Vec<Value> {
        match self {
            Self::Text(least, most) | Self::Lines(least, most) => vec![
                json!("a".repeat(least.max(1))),
                json!(BOWL.repeat(most)),
                json!(format!("{}{} \n", " ".repeat(1_000_000), "a".repeat(least.max(1)))),
            ],
            Self::Verbatim(least, most) => {
                vec![
                    json!(" ".repeat(least)),
                    json!(BOWL.repeat(most)),
                    json!("a\0".repeat(most / 2)),
                ]
            }
            Self::Email => {
                let local = format!("{}", uuid::Uuid::now_v7().simple());
                vec![json!(format!("{local}@b")), json!(format!(" {local}@{} ", "b".repeat(221)))]
            }
            Self::Number(least, most) => vec![json!(least), json!(most)],
            Self::Entries(least, most) => vec![json!(least), json!(most)],
            Self::PageSize => vec![json!(0), json!(1), json!(200), json!(201), json!(i32::MAX)],
            Self::PageToken => {
                vec![json!("")]
            }
            Self::EventId => vec![json!(""), json!("0"), json!(i64::MAX.to_string())],
            Self::Filter => vec![json!(""), json!(uuid::Uuid::nil().to_string())],
            Self::Enum(taken) => taken.iter().map(|number| json!(number)).collect(),
            Self::Exactly(text) => vec![json!(text)],
            Self::Like(right, _) => right.iter().map(|text| json!(text)).collect(),
            Self::Only(number) => vec![json!(number)],
            Self::Duration => vec![json!("0.5s")],
            Self::Compared => vec![json!(""), json!("nothing of that name")],
            Self::Required | Self::Optional | Self::Id | Self::Name => Vec::new(),
        }
    }

    /// Values that are refused.
    #[expect(clippy::too_many_lines, reason = "a table: each limit and what is beyond it")]
    pub(crate) fn beyond(self) -> Vec<Value> {
        let control = ["a\0b", "a\u{7}b", "a\u{7f}b"].map(|text| json!(text));
        let lengths = |least: usize, most: usize| {
            let short = least.checked_sub(1).map(|less| "a".repeat(less));
            let long = [BOWL.repeat(most + 1), "a".repeat(most + 1), "a".repeat(1_000_000)];
            short.into_iter().chain(long).map(|text| json!(text)).collect::<Vec<_>>()
        };
        match self {
            Self::Text(least, most) => {
                let mut texts = lengths(least, most);
                texts.extend(control);
                texts.extend([json!("a\nb"), json!("a\u{2028}b")]);
                texts.extend((least > 0).then(|| json!(" \t\u{3000}")));
                texts
            }
            Self::Lines(least, most) => {
                let mut texts = lengths(least, most);
                texts.extend(control);
                texts.extend((least > 0).then(|| json!(" \n ")));
                texts
            }
            Self::Verbatim(least, most) => lengths(least, most),
            Self::Email => {
                let wrong = ["", "kim", "a@", "@b", "a b@c", "a@b@c", "a\0@b", "a\n@b"];
                let long = [format!("a@{}", "b".repeat(253)), format!("{}@b", BOWL.repeat(64))];
                wrong.map(str::to_owned).into_iter().chain(long).map(|text| json!(text)).collect()
            }
            Self::Number(least, most) => {
                let less = least.saturating_sub(1);
                let all = [less, most.saturating_add(1), i32::MIN.into(), i32::MAX.into()];
                let beyond = all.into_iter().filter(|number| !(least..=most).contains(number));
                beyond.map(|number| json!(number)).collect()
            }
            Self::Entries(least, most) => least
                .checked_sub(1)
                .into_iter()
                .chain([most + 1])
                .map(|count| json!(count))
                .collect(),
            Self::Required => vec![Value::Null],
            Self::Id => ["", "x", "{00000000-0000-0000-0000-000000000000}", "\0"]
                .map(|text| json!(text))
                .into_iter()
                .chain([json!("0".repeat(32)), json!("0".repeat(1_000_000))])
                .collect(),
            Self::Filter => vec![json!("x"), json!("\0"), json!("0".repeat(32))],
            Self::PageSize => vec![json!(-1), json!(i32::MIN)],
            Self::PageToken => {
                vec![json!("x"), json!("\0"), json!("0".repeat(32)), json!("0".repeat(40))]
            }
            Self::EventId => vec![json!("x"), json!("1-x"), json!("9223372036854775808")],
            Self::Enum(taken) => {
                let last = taken.last().copied().unwrap_or_default();
                let mut refused = vec![json!(last + 1), json!(-1), json!(i32::MAX)];
                refused.extend((0..last).filter(|n| !taken.contains(n)).map(|n| json!(n)));
                refused
            }
            Self::Exactly(text) => {
                let others =
                    [String::new(), format!("{text}\0"), text.to_lowercase(), "a".repeat(999)];
                others.into_iter().map(|text| json!(text)).collect()
            }
            Self::Like(_, wrong) => wrong.iter().map(|text| json!(text)).collect(),
            Self::Only(number) => {
                vec![json!(number - 1), json!(number + 1), json!(i32::MIN), json!(i32::MAX)]
            }
            Self::Name => vec![json!(""), json!("x"), json!("\0"), json!("x".repeat(1_000_000))],
            Self::Duration => vec![json!("0s"), json!("-1s"), json!("315360000.000000001s")],
            Self::Optional | Self::Compared => Vec::new(),
        }
    }
}

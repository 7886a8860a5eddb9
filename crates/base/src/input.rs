//! What comes from outside: text and numbers, within their limits or refused with
//! the field's path and a sentence that says the limit. Text is trimmed once, here,
//! and judged as it will be stored. Knows no field by name.

use std::{fmt::Display, ops::RangeInclusive};

use crate::Error;

/// What a field of text may hold: so many characters, in so many bytes of UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    least: usize,
    most: usize,
    bytes: usize,
    lines: bool,
    verbatim: bool,
}

impl Text {
    /// One line of `least` to `most` characters, of four bytes at most each.
    pub const fn new(least: usize, most: usize) -> Self {
        Self { least, most, bytes: most.saturating_mul(4), lines: false, verbatim: false }
    }

    /// At most so many bytes.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Several lines, and tabs.
    #[must_use]
    pub const fn lines(self) -> Self {
        Self { lines: true, ..self }
    }

    /// Taken as it is: neither trimmed nor searched for control characters. For what is never stored.
    #[must_use]
    pub const fn verbatim(self) -> Self {
        Self { verbatim: true, ..self }
    }

    /// The text as it is to be stored; `field` is its path, for the error.
    pub fn parse<'a>(&self, field: &str, text: &'a str) -> Result<&'a str, Error> {
        let text = if self.verbatim { text } else { text.trim() };
        // Bytes first: a megabyte is not counted character by character.
        if text.len() > self.bytes || !(self.least..=self.most).contains(&text.chars().count()) {
            return Err(Error::violation(field, self.rule()));
        }
        match text.chars().find(|character| self.refuses(*character)) {
            None => Ok(text),
            Some(character) => {
                let code = u32::from(character);
                let rule = format!("must not have control characters (it has U+{code:04X})");
                Err(Error::violation(field, rule))
            }
        }
    }

    /// The text cut to what fits: for what was stored before there was this limit.
    pub fn clip(&self, text: &str) -> String {
        let mut clipped = String::new();
        for character in text.trim().chars().filter(|character| !self.refuses(*character)) {
            let counted = clipped.chars().count();
            if counted >= self.most
                || clipped.len().saturating_add(character.len_utf8()) > self.bytes
            {
                break;
            }
            clipped.push(character);
        }
        clipped
    }

    fn refuses(&self, character: char) -> bool {
        let breaks = matches!(character, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}');
        !self.verbatim && if breaks { !self.lines } else { character.is_control() }
    }

    fn rule(&self) -> String {
        let Self { least, most, bytes, .. } = *self;
        let (most, bytes) = (grouped(most), grouped(bytes));
        if least == 0 {
            format!("must have at most {most} characters and {bytes} bytes")
        } else {
            format!("must have {least} to {most} characters and at most {bytes} bytes")
        }
    }
}

/// The number, when it is in its range; `field` is its path, for the error.
pub fn number<N: Copy + PartialOrd + Display>(
    field: &str,
    number: N,
    range: &RangeInclusive<N>,
) -> Result<N, Error> {
    if range.contains(&number) { Ok(number) } else { Err(Error::violation(field, between(range))) }
}

/// Refuses a list that has too few or too many entries; `field` is its path, for the error.
pub fn count(field: &str, entries: usize, range: &RangeInclusive<usize>) -> Result<(), Error> {
    let rule =
        || format!("must have {} to {} entries", grouped(range.start()), grouped(range.end()));
    if range.contains(&entries) { Ok(()) } else { Err(Error::violation(field, rule())) }
}

/// The rule of a range: `must be 1 to 1,000,000`.
pub fn between<N: Display>(range: &RangeInclusive<N>) -> String {
    format!("must be {} to {}", grouped(range.start()), grouped(range.end()))
}

/// A whole number with its thousands apart: `1,000,000`.
pub fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits.to_owned()),
        None => ("", digits),
    };
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Text = Text::new(1, 5);

    fn refused(limit: Text, text: &str) -> String {
        limit.parse("name", text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_judged_is_what_will_be_stored() {
        assert_eq!(NAME.parse("name", " 한상 \n").expect("fits"), "한상");
        assert_eq!(NAME.parse("name", &format!("{}a", " ".repeat(1_000_000))).expect("fits"), "a");
        assert!(NAME.parse("name", " \u{3000} ").is_err());
        assert_eq!(Text::new(0, 5).parse("name", "  ").expect("fits"), "");
    }

    #[test]
    fn a_text_has_its_number_of_characters_and_of_bytes() {
        let rule = "must have 1 to 5 characters and at most 20 bytes";
        for wrong in ["", "sixsix", "한상한상한상"] {
            assert_eq!(refused(NAME, wrong), format!("INVALID_FIELD: name: {rule}"));
        }
        assert!(NAME.parse("name", "🍚🍚🍚🍚🍚").is_ok());
        assert!(NAME.bytes(19).parse("name", "🍚🍚🍚🍚🍚").is_err());
        let long = refused(Text::new(0, 2_000), &"a".repeat(2_001));
        assert!(long.ends_with("must have at most 2,000 characters and 8,000 bytes"), "{long}");
    }

    #[test]
    fn control_characters_are_refused_where_they_make_no_sense() {
        for (text, code) in [("a\0b", "U+0000"), ("a\nb", "U+000A"), ("a\u{2028}b", "U+2028")] {
            assert!(refused(NAME, text).contains(code), "{text:?}");
        }
        let lines = NAME.lines();
        assert_eq!(lines.parse("body", "a\n\tb").expect("fits"), "a\n\tb");
        assert!(refused(lines, "a\0b").contains("U+0000"));
        assert_eq!(NAME.verbatim().parse("password", " \0 ").expect("fits"), " \0 ");
    }

    #[test]
    fn what_is_stored_already_is_cut_to_what_fits() {
        for old in ["", "한상", " one\0\ntwo three ", "🍚🍚🍚🍚🍚🍚"] {
            let clipped = Text::new(0, 5).clip(old);
            assert_eq!(Text::new(0, 5).parse("name", &clipped).expect("fits"), clipped);
        }
        assert_eq!(NAME.bytes(7).clip("한상한상"), "한상");
    }

    #[test]
    fn a_number_is_in_its_range() {
        let range = 1..=1_000_000_000;
        assert_eq!(number("quantity", 1_000_000_000, &range).expect("fits"), 1_000_000_000);
        let refused = number("quantity", 0, &range).expect_err("too few").to_string();
        assert_eq!(refused, "INVALID_FIELD: quantity: must be 1 to 1,000,000,000");
        assert!(count("lines", 101, &(1..=100)).is_err());
        assert_eq!([grouped(0), grouped(-1_234), grouped(999)], ["0", "-1,234", "999"]);
    }
}

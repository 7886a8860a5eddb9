//! The languages of the pages: Korean first, English beside it. Every text stands in both where it is
//! used: `visit.t("장바구니", "Cart")`.

use http::{HeaderMap, header};

use crate::cookie;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lang {
    #[default]
    Ko,
    En,
}

/// A text in both: Korean, English.
pub(crate) type Text = (&'static str, &'static str);

impl Lang {
    /// As `lang` and cookies have it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }

    /// The one with this code.
    pub(crate) fn of(code: &str) -> Option<Self> {
        [Self::Ko, Self::En].into_iter().find(|lang| lang.code() == code)
    }

    /// The one that was chosen, else the first of ours that the browser asks for.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let chosen = cookie::read(headers, cookie::LANG).and_then(Self::of);
        chosen.unwrap_or_else(|| {
            let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
            preferred(asked.unwrap_or_default()).unwrap_or_default()
        })
    }

    /// The text in this language.
    pub(crate) fn pick<T>(self, ko: T, en: T) -> T {
        match self {
            Self::Ko => ko,
            Self::En => en,
        }
    }
}

/// Of `en-GB;q=0.8, ko`: the one of the greatest weight, of equal ones the first.
fn preferred(asked: &str) -> Option<Lang> {
    let weighed = asked.split(',').filter_map(|range| {
        let mut parts = range.split(';');
        let primary = parts.next()?.trim().split('-').next()?.to_ascii_lowercase();
        let weight = parts.find_map(|it| it.trim().strip_prefix("q=")?.parse::<f32>().ok());
        Some((Lang::of(&primary)?, weight.unwrap_or(1.0)))
    });
    let better = |best: Option<(Lang, f32)>, next: (Lang, f32)| match best {
        Some(best) if best.1 >= next.1 => Some(best),
        _ => Some(next),
    };
    weighed.fold(None, better).map(|(lang, _)| lang)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        assert_eq!(preferred("en-GB,en;q=0.9,ko;q=0.8"), Some(Lang::En));
        assert_eq!(preferred("de, en;q=0.5, ko-KR;q=0.7"), Some(Lang::Ko));
        assert_eq!(preferred("de"), None);
    }
}

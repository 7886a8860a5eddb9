//! HTML as it is written: what is in the code goes in as it stands, all else goes
//! in escaped, in text and in attributes' values alike. There is no third way.

use std::fmt::{self, Display, Write};

/// A piece of HTML.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup: a literal, never what came from elsewhere.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or the value of an attribute between quotes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                letter => self.0.push(letter),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_can_neither_end_a_value_nor_begin_markup() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\" onclick='x' &amp;").raw("\">").text("</p><script>");
        let expected = "<p title=\"&quot; onclick=&#39;x&#39; &amp;amp;\">&lt;/p&gt;&lt;script&gt;";
        assert_eq!(html.finish(), expected);
    }
}

//! Path templates, as `google/api/http.proto` describes them, taken apart.

use crate::Result;

/// `/v1/{name=shelves/*}:cancel`.
pub(crate) struct Template {
    /// Literals, `*` and `**`: `v1`, `shelves`, `*`.
    pub(crate) segments: Vec<String>,
    /// The custom verb after the colon: `cancel`; or empty.
    pub(crate) custom: String,
    pub(crate) variables: Vec<Variable>,
}

/// A part of the path that becomes a field.
pub(crate) struct Variable {
    /// `order.id`.
    pub(crate) field: String,
    /// The segments that it spans, from the first to before the last; `usize::MAX` is all that
    /// follow.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| format!("the path {text}: {why}");
        let path = text.strip_prefix('/').ok_or_else(|| wrong("does not begin with a slash"))?;
        let last = path.rfind(['/', '}']).unwrap_or(0);
        let (path, custom) = match path[last..].find(':') {
            Some(colon) => (&path[..last + colon], &path[last + colon + 1..]),
            None => (path, ""),
        };
        let (mut segments, mut variables) = (Vec::new(), Vec::new());
        let mut rest = path;
        loop {
            if let Some(inner) = rest.strip_prefix('{') {
                let (inner, after) = inner.split_once('}').ok_or_else(|| wrong("lacks a }"))?;
                let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
                let from = segments.len();
                segments.extend(pattern.split('/').map(str::to_owned));
                let to = if pattern.ends_with("**") { usize::MAX } else { segments.len() };
                variables.push(Variable { field: field.to_owned(), from, to });
                rest = after;
            } else {
                let end = rest.find('/').unwrap_or(rest.len());
                segments.push(rest[..end].to_owned());
                rest = &rest[end..];
            }
            match rest.strip_prefix('/') {
                Some(more) => rest = more,
                None if rest.is_empty() => break,
                None => return Err(wrong("text after a }").into()),
            }
        }
        let literal = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"{}*=%?#".contains(c))
        };
        if let Some(bad) =
            segments.iter().find(|part| !literal(part) && !["*", "**"].contains(&part.as_str()))
        {
            return Err(wrong(&format!("{bad:?} is no segment")).into());
        }
        if segments.iter().rev().skip(1).any(|part| part == "**") {
            return Err(wrong("** is not last").into());
        }
        if path.len() < text.len() - 1 && !literal(custom) {
            return Err(wrong("the verb after the colon is none").into());
        }
        Ok(Self { segments, custom: custom.to_owned(), variables })
    }
}

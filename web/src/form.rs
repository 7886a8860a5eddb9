//! Forms: as they are shown, and as they come back. Each is signed for its visitor, and carries a key of
//! its own, so that sent twice it is done once. What was typed stays when something is wrong, and what is
//! wrong stands beside its field.

use axum::{
    body,
    extract::{FromRequest, FromRequestParts as _, Request},
};
use base::id::Uuid;
use maud::{Markup, html};

use crate::{failure::Failure, lang::Text, visit::Visit};

/// The fields that all forms have.
const SIGNATURE: &str = "csrf";
const KEY: &str = "key";
const LONGEST: usize = 64 * 1024;

/// A form that a page of ours has sent.
pub(crate) struct Posted(Vec<(String, String)>);

impl Posted {
    /// What a form of this visitor's holds, however it was sent.
    pub(crate) fn checked(visit: &Visit, values: Vec<(String, String)>) -> Result<Self, Failure> {
        // Of the same length for everybody, and good for one visitor alone.
        let signed = value(&values, SIGNATURE) == Some(&*visit.signature());
        if signed && !visit.is_new { Ok(Self(values)) } else { Err(Failure::stale_form()) }
    }

    /// What is in a field, without blanks around it; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// What is in a field, as it was typed: a password.
    pub(crate) fn raw(&self, name: &str) -> &str {
        value(&self.0, name).unwrap_or_default()
    }

    /// Whether the form has the field: a box that is ticked, a button that was pressed.
    pub(crate) fn has(&self, name: &str) -> bool {
        value(&self.0, name).is_some()
    }

    /// Puts something else into a field.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Whether a field is not as the form was shown with it, which the hidden field `was.…` says.
    pub(crate) fn is_changed(&self, name: &str) -> bool {
        !same(self.text(name), self.text(&format!("was.{name}")))
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number; commas between its digits do not matter. A field that is empty or not there: 0.
    pub(crate) fn number(&self, name: &str) -> Result<i64, Failure> {
        match self.text(name).replace(',', "").as_str() {
            "" => Ok(0),
            text => text.parse().map_err(|_| Failure::field(name, "must be a whole number")),
        }
    }

    /// An id, as messages have it.
    pub(crate) fn id(&self, name: &str) -> Result<String, Failure> {
        let id = Uuid::try_parse(self.text(name)).map_err(|_| Failure::not_found())?;
        Ok(id.to_string())
    }

    /// The form's own key, under which its command is done once.
    pub(crate) fn key(&self) -> &str {
        let key = self.text(KEY);
        if Uuid::try_parse(key).is_ok() { key } else { "" }
    }

    /// To be shown again, with what was typed and what went wrong.
    pub(crate) fn refused(self, failure: Failure) -> Filled {
        Filled { values: self.0, failure: Some(failure) }
    }

    /// To be shown again.
    pub(crate) fn again(self) -> Filled {
        Filled { values: self.0, failure: None }
    }
}

fn value<'a>(values: &'a [(String, String)], name: &str) -> Option<&'a str> {
    values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Whether two texts are the same but for how browsers end lines, and blanks around them.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let lines = |text: &str| text.trim().replace("\r\n", "\n");
    lines(one) == lines(other)
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let body = body::to_bytes(body, LONGEST).await;
        let body = body.map_err(|_| Failure::field("", "the form is too long"))?;
        let values: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        Self::checked(&visit, values)
    }
}

/// What a form was filled in with, and what was wrong with that; the default is a form that nobody has
/// seen yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filled {
    values: Vec<(String, String)>,
    failure: Option<Failure>,
}

impl Filled {
    /// Filled in for the visitor.
    pub(crate) fn with(values: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { values: values.iter().map(owned).collect(), failure: None }
    }

    /// What is in a field.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        value(&self.values, name)
    }

    /// What went wrong.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The form's key: a new one, unless what was sent may have been done.
    fn key(&self) -> String {
        let again = self.failure.as_ref().is_some_and(Failure::is_outage);
        let key = value(&self.values, KEY).filter(|key| again && Uuid::try_parse(key).is_ok());
        key.map_or_else(|| base::id::new().to_string(), str::to_owned)
    }
}

/// A form that is sent to `action`, with what went wrong above its fields.
pub(crate) fn post(visit: &Visit, action: &str, filled: &Filled, fields: &Markup) -> Markup {
    html! {
        form.form method="post" action=(action) {
            (own_fields(visit, filled))
            @if let Some(failure) = filled.failure() {
                p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
            }
            (fields)
        }
    }
}

/// The hidden fields that all forms have.
pub(crate) fn own_fields(visit: &Visit, filled: &Filled) -> Markup {
    html! {
        input type="hidden" name=(SIGNATURE) value=(visit.signature());
        input type="hidden" name=(KEY) value=(filled.key());
    }
}

/// A hidden field: as it was sent, if it was.
pub(crate) fn hidden(filled: &Filled, name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(filled.value(name).unwrap_or(value)); }
}

/// What Enter in a field presses, where that is not the first button that is seen: `name` as that has it.
pub(crate) fn on_enter(name: Option<&str>) -> Markup {
    html! {
        button.unseen name=[name] value=[name.map(|_| "1")] formnovalidate[name.is_some()]
            tabindex="-1" aria-hidden="true" {}
    }
}

/// A form of one button and what it says along.
pub(crate) fn button(
    visit: &Visit,
    action: &str,
    class: &str,
    label: &str,
    hidden: &[(&str, &str)],
) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (own_fields(visit, &Filled::default()))
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            button class=(class) { (label) }
        }
    }
}

/// A field with its label: `Field::new("email", ("이메일", "Email")).kind("email").required()`.
pub(crate) struct Field<'a> {
    name: &'a str,
    id: &'a str,
    label: Text,
    kind: &'a str,
    value: String,
    hint: Option<String>,
    required: bool,
    /// The API wants it, but the browser must not insist.
    needed: bool,
    complete: Option<&'a str>,
    range: (Option<i64>, Option<i64>),
    longest: Option<usize>,
    /// Several lines.
    lines: Option<usize>,
}

impl<'a> Field<'a> {
    /// A line of text. `name` is as the API calls it, so that its violations find the field.
    pub(crate) fn new(name: &'a str, label: Text) -> Self {
        Self {
            name,
            id: name,
            label,
            kind: "text",
            value: String::new(),
            hint: None,
            required: false,
            needed: false,
            complete: None,
            range: (None, None),
            longest: None,
            lines: None,
        }
    }

    /// Where another form of the page has a field of this name.
    pub(crate) fn id(self, id: &'a str) -> Self {
        Self { id, ..self }
    }

    /// As `input` has it: `email`, `password`, `tel`, `search`.
    pub(crate) fn kind(self, kind: &'a str) -> Self {
        Self { kind, ..self }
    }

    /// A whole number from … to ….
    pub(crate) fn number(self, from: i64, to: i64) -> Self {
        Self { kind: "number", range: (Some(from), Some(to)), ..self }
    }

    /// Several lines of text.
    pub(crate) fn lines(self, lines: usize) -> Self {
        Self { lines: Some(lines), ..self }
    }

    /// What is in it before anybody types.
    #[expect(clippy::needless_pass_by_value, reason = "a number or a text")]
    pub(crate) fn value(self, value: impl ToString) -> Self {
        Self { value: value.to_string(), ..self }
    }

    /// A line below it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Nothing is sent without it.
    pub(crate) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// It is needed, but only if something else is chosen: the browser does not insist.
    pub(crate) fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// What the browser may fill in: `autocomplete`.
    pub(crate) fn complete(self, with: &'a str) -> Self {
        Self { complete: Some(with), ..self }
    }

    /// In characters.
    pub(crate) fn longest(self, longest: usize) -> Self {
        Self { longest: Some(longest), ..self }
    }

    /// The field, with what was typed and what is wrong with it.
    pub(crate) fn show(self, visit: &Visit, filled: &Filled) -> Markup {
        let wrong = filled.failure().and_then(|it| it.of_field(self.name, visit.lang));
        let typed = filled.value(self.name).filter(|_| self.kind != "password");
        let value = typed.unwrap_or(&self.value);
        let id = format!("f-{}", self.id.replace(['.', '[', ']'], "-"));
        let (hint_id, wrong_id) = (format!("{id}-hint"), format!("{id}-wrong"));
        let described = match (&wrong, &self.hint) {
            (Some(_), Some(_)) => Some(format!("{wrong_id} {hint_id}")),
            (Some(_), None) => Some(wrong_id.clone()),
            (None, hint) => hint.as_ref().map(|_| hint_id.clone()),
        };
        let invalid = wrong.as_ref().map(|_| "true");
        html! {
            div.field {
                label for=(id) {
                    (visit.text(self.label))
                    @if !self.required && !self.needed { span.optional { " " (visit.t("선택", "optional")) } }
                }
                @if let Some(lines) = self.lines {
                    textarea id=(id) name=(self.name) rows=(lines) required[self.required]
                        maxlength=[self.longest] aria-invalid=[invalid]
                        aria-describedby=[described] { "\n" (value) }
                } @else {
                    input id=(id) name=(self.name) type=(self.kind) value=(value)
                        required[self.required] autocomplete=[self.complete]
                        min=[self.range.0] max=[self.range.1] maxlength=[self.longest]
                        aria-invalid=[invalid] aria-describedby=[described];
                }
                @if let Some(wrong) = &wrong { p.wrong id=(wrong_id) { (wrong) } }
                @if let Some(hint) = &self.hint { p.hint id=(hint_id) { (hint) } }
            }
        }
    }
}

/// One of several, in a list that opens: value, text. The first is chosen unless something else was.
pub(crate) fn select(
    visit: &Visit,
    filled: &Filled,
    name: &str,
    label: Text,
    options: &[(String, String)],
) -> Markup {
    let wrong = filled.failure().and_then(|it| it.of_field(name, visit.lang));
    let id = format!("f-{}", name.replace('.', "-"));
    let wrong_id = wrong.as_ref().map(|_| format!("{id}-wrong"));
    html! {
        div.field {
            label for=(id) { (visit.text(label)) }
            select id=(id) name=(name) aria-invalid=[wrong.as_ref().map(|_| "true")]
                aria-describedby=[wrong_id.as_deref()] {
                @for (value, text) in options {
                    option value=(value) selected[filled.value(name) == Some(value)] { (text) }
                }
            }
            @if let Some(wrong) = &wrong { p.wrong id=[wrong_id.as_deref()] { (wrong) } }
        }
    }
}

/// One of several that are all seen: value, text, and a line below it. The first is chosen unless
/// something else was.
pub(crate) fn radios(
    visit: &Visit,
    filled: &Filled,
    name: &str,
    label: Text,
    options: &[(String, String, String)],
) -> Markup {
    let chosen = filled.value(name).or(options.first().map(|(value, ..)| value.as_str()));
    let wrong = filled.failure().and_then(|it| it.of_field(name, visit.lang));
    html! {
        fieldset.choices {
            legend.unseen { (visit.text(label)) }
            @for (value, text, more) in options {
                label.choice {
                    input type="radio" name=(name) value=(value) checked[chosen == Some(value)];
                    span { span.choice-text { (text) } @if !more.is_empty() { span.hint { (more) } } }
                }
            }
            @if let Some(wrong) = &wrong { p.wrong { (wrong) } }
        }
    }
}

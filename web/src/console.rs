//! What the pages of sellers and of admins have in common. Who may see which, the token says; what may be
//! done, the services.

pub(crate) mod states;

use axum::response::Response;
use contracts::order::v1::BankAccount;
use identity::auth::Role;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    failure::Failure,
    form::{self, Field, Filled, Posted},
    lang::Text,
    layout::Notice,
    paths, view,
    visit::Visit,
};

/// Rows on a page.
pub(crate) const PAGE: i32 = 30;

/// What of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) state: String,
    pub(crate) page: String,
}

/// Lets those with one of the roles in.
pub(crate) fn must_be(visit: &Visit, roles: &[Role]) -> Result<(), Failure> {
    visit.member()?;
    let may = roles.iter().any(|role| visit.has(*role));
    if may { Ok(()) } else { Err(Failure::forbidden()) }
}

/// The pages of a console, above each of them; the first is its front page.
pub(crate) fn tabs(visit: &Visit, label: Text, tabs: &[(&str, Text)]) -> Markup {
    let here = visit.path.split('?').next().unwrap_or_default();
    let is_here = |path: &str| here == path;
    let is_below = |path: &str| here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let front = tabs.first().map_or("", |(path, _)| *path);
    html! {
        nav.tabs aria-label=(visit.text(label)) {
            @for (path, text) in tabs {
                @let current = is_here(path) || (*path != front && is_below(path));
                a href=(path) aria-current=[current.then_some("page")] { (visit.text(*text)) }
            }
        }
    }
}

/// Narrows a list down: the states that it may be of, the first of which is all.
pub(crate) fn filters(visit: &Visit, path: &str, chosen: &str, states: &[(&str, Text)]) -> Markup {
    html! {
        nav.row aria-label=(visit.t("상태", "State")) {
            @for (state, text) in states {
                a.button.button-quiet href=(paths::with(path, &[("state", state)]))
                    aria-current=[(*state == chosen).then_some("true")] { (visit.text(*text)) }
            }
        }
    }
}

/// A form that looks for words.
pub(crate) fn search(visit: &Visit, path: &str, label: Text, query: &str) -> Markup {
    html! {
        form.row role="search" action=(path) {
            label.unseen for="f-query" { (visit.text(label)) }
            input.grow #f-query type="search" name="query" value=(query) maxlength="100"
                placeholder=(visit.text(label));
            button.button { (visit.t("찾기", "Find")) }
        }
    }
}

/// What was tried on a page of several forms, and what went wrong with it.
#[derive(Default)]
pub(crate) struct Tried(Option<(String, Filled)>);

impl Tried {
    /// In the form of this name.
    pub(crate) fn new(form: impl Into<String>, filled: Filled) -> Self {
        Self(Some((form.into(), filled)))
    }

    /// How the form of this name was filled in.
    pub(crate) fn of(&self, form: &str) -> Filled {
        let tried = self.0.as_ref().filter(|(name, _)| name == form);
        tried.map(|(_, filled)| filled.clone()).unwrap_or_default()
    }

    /// What went wrong.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.0.as_ref().and_then(|(_, filled)| filled.failure())
    }
}

/// After a command: back to `path`, where it is done, or goes on by itself. What was refused is for the
/// form.
pub(crate) fn settled<T>(
    visit: &Visit,
    path: &str,
    done: Result<T, Failure>,
) -> Result<Response, Failure> {
    match done {
        Ok(_) => Ok(visit.go(path, Some(Notice::Done))),
        Err(failure) if failure.reason() == "OUTCOME_PENDING" => {
            Ok(visit.go(path, Some(Notice::UnderWay)))
        }
        Err(failure) => Err(failure),
    }
}

/// Where money is sent to; all empty: nowhere.
pub(crate) fn account_fields(visit: &Visit, filled: &Filled, required: bool) -> Markup {
    let field = |name, label, longest| {
        let field = Field::new(name, label).longest(longest);
        if required { field.required() } else { field }
    };
    html! {
        (field("account.bankCode", ("은행 코드", "Bank code"), 3)
            .hint(visit.t("세 자리 숫자. 국민 004, 신한 088", "3 digits, such as 004"))
            .show(visit, filled))
        (field("account.accountNumber", ("계좌번호", "Account number"), 20).show(visit, filled))
        (field("account.holder", ("예금주", "Holder"), 100).show(visit, filled))
    }
}

/// The account of those fields; none when all are empty.
pub(crate) fn account(form: &Posted) -> Option<BankAccount> {
    let text = |name| form.text(name).to_owned();
    let account = BankAccount {
        bank_code: text("account.bankCode"),
        account_number: text("account.accountNumber"),
        holder: text("account.holder"),
    };
    (account != BankAccount::default()).then_some(account)
}

/// Pairs of what something is and what it is; what there is none of is left out.
pub(crate) fn facts(pairs: Vec<(&str, Markup)>) -> Markup {
    let known: Vec<_> = pairs.into_iter().filter(|(_, fact)| !fact.0.is_empty()).collect();
    view::facts(&known)
}

/// An id as it is shown, short, with all of it to be copied.
pub(crate) fn id(id: &str) -> Markup {
    html! { code { (id) } }
}

/// A form behind its button: opened, because something went wrong in it, or closed.
pub(crate) fn folded(
    visit: &Visit,
    label: Text,
    action: &str,
    filled: &Filled,
    fields: &Markup,
) -> Markup {
    html! {
        details open[filled.failure().is_some()] {
            summary { (visit.text(label)) }
            (form::post(visit, action, filled, fields))
        }
    }
}

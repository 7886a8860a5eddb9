//! Signing up, in and out, and the language. A session is the member's token in a cookie that scripts
//! cannot read; a new one voids the forms from before it.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Router, extract::Query, response::Response, routing::get, routing::post};
use contracts::member::v1::{CreateSessionRequest, RegisterMemberRequest, Session};
use maud::html;
use serde::Deserialize;

use crate::{
    cookie,
    failure::Failure,
    form::{self, Field, Filled, Posted},
    lang::Lang,
    layout::{Notice, Page},
    paths,
    visit::{Visit, YEAR},
};

pub(crate) fn router() -> Router {
    Router::new()
        .route(paths::SIGN_IN, get(show_sign_in).post(sign_in))
        .route(paths::SIGN_UP, get(show_sign_up).post(sign_up))
        .route(paths::SIGN_OUT, post(sign_out))
        .route(paths::LANGUAGE, post(language))
}

/// Where to go afterwards.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

/// The way to sign in, and back to where the visitor is.
pub(crate) fn sign_in_for(visit: &Visit) -> String {
    paths::with(paths::SIGN_IN, &[("next", &visit.here())])
}

async fn show_sign_in(visit: Visit, Query(Next { next }): Query<Next>) -> Response {
    sign_in_page(&visit, &Filled::with(&[("next", &next)]))
}

fn sign_in_page(visit: &Visit, filled: &Filled) -> Response {
    let title = visit.t("로그인", "Sign in");
    let next = paths::local(filled.value("next").unwrap_or_default());
    let fields = html! {
        input type="hidden" name="next" value=(next);
        (Field::new("email", ("이메일", "Email")).kind("email").required()
            .complete("username").longest(254).show(visit, filled))
        (Field::new("password", ("비밀번호", "Password")).kind("password").required()
            .complete("current-password").longest(128).show(visit, filled))
        button.button.button-main.wide { (title) }
    };
    let main = html! {
        div.narrow.card {
            h1 { (title) }
            (form::post(visit, paths::SIGN_IN, filled, &fields))
            p.aside {
                (visit.t("아직 회원이 아니신가요?", "Not a member yet?")) " "
                a href=(paths::with(paths::SIGN_UP, &[("next", next)])) {
                    (visit.t("회원가입", "Sign up"))
                }
            }
        }
    };
    Page::new(visit, title).failed(filled.failure()).show(&main)
}

async fn sign_in(visit: Visit, form: Posted) -> Response {
    match open(&visit, form.text("email"), form.raw("password")).await {
        Ok(session) => enter(&visit, &session, form.text("next"), Notice::SignedIn),
        Err(failure) => sign_in_page(&visit, &form.refused(failure)),
    }
}

async fn open(visit: &Visit, email: &str, password: &str) -> Result<Session, Failure> {
    let (email, password) = (email.to_owned(), password.to_owned());
    let asked = visit.ask(CreateSessionRequest { email, password });
    Ok(visit.members().create_session(asked).await?.into_inner())
}

fn enter(visit: &Visit, session: &Session, next: &str, notice: Notice) -> Response {
    let mut response = visit.go(next, Some(notice));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let expires = session.expire_time.as_ref().map_or(0, |it| it.seconds.unsigned_abs());
    visit.set_session(&mut response, &session.access_token, expires.saturating_sub(now));
    response
}

async fn show_sign_up(visit: Visit, Query(Next { next }): Query<Next>) -> Response {
    sign_up_page(&visit, &Filled::with(&[("next", &next)]))
}

fn sign_up_page(visit: &Visit, filled: &Filled) -> Response {
    let title = visit.t("회원가입", "Sign up");
    let next = paths::local(filled.value("next").unwrap_or_default());
    let fields = html! {
        input type="hidden" name="next" value=(next);
        (Field::new("email", ("이메일", "Email")).kind("email").required()
            .complete("username").longest(254).show(visit, filled))
        (Field::new("password", ("비밀번호", "Password")).kind("password").required()
            .complete("new-password").longest(128)
            .hint(visit.t("8자 이상", "8 characters or more")).show(visit, filled))
        (Field::new("displayName", ("이름", "Name")).required()
            .complete("name").longest(100).show(visit, filled))
        button.button.button-main.wide { (title) }
    };
    let main = html! {
        div.narrow.card {
            h1 { (title) }
            (form::post(visit, paths::SIGN_UP, filled, &fields))
            p.aside {
                (visit.t("이미 회원이신가요?", "A member already?")) " "
                a href=(paths::with(paths::SIGN_IN, &[("next", next)])) {
                    (visit.t("로그인", "Sign in"))
                }
            }
        }
    };
    Page::new(visit, title).failed(filled.failure()).show(&main)
}

async fn sign_up(visit: Visit, form: Posted) -> Response {
    let joined = async {
        let message = RegisterMemberRequest {
            email: form.text("email").to_owned(),
            password: form.raw("password").to_owned(),
            display_name: form.text("displayName").to_owned(),
        };
        visit.members().register_member(visit.command(form.key(), message)).await?;
        open(&visit, form.text("email"), form.raw("password")).await
    };
    match joined.await {
        Ok(session) => enter(&visit, &session, form.text("next"), Notice::Welcome),
        Err(failure) => sign_up_page(&visit, &form.refused(failure)),
    }
}

async fn sign_out(visit: Visit, _: Posted) -> Response {
    let mut response = visit.go(paths::HOME, Some(Notice::SignedOut));
    visit.set_session(&mut response, "", 0);
    response
}

async fn language(visit: Visit, form: Posted) -> Response {
    let mut response = visit.go(form.text("next"), None);
    if let Some(lang) = Lang::of(form.text("to")) {
        visit.set(&mut response, cookie::LANG, lang.code(), YEAR);
    }
    response
}

//! Events that consumers could not apply: looked at, applied again, or given up with a reason. Each service
//! is asked itself, with the admin's own token: these calls are no part of the API that the gateway serves.

use std::time::Duration;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use base::Error;
use contracts::event::v1::{
    DiscardParkedEventsRequest, ListParkedEventsRequest, ParkedEvent, ReplayParkedEventsRequest,
    parked_events_client::ParkedEventsClient,
};
use futures_util::future::join_all;
use maud::{Markup, html};
use rpc::{Channel, Limits, Peer};
use settings::Settings;

use super::{admin, tabs};
use crate::{
    console::{self, Tried},
    failure::Failure,
    form::{self, Field, Posted},
    layout::Page,
    paths,
    view::{self, Tone},
    visit::Visit,
};

/// How long a service may take to say what it has parked.
const WITHIN: Duration = Duration::from_millis(1_500);

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN_PARKED, get(show))
        .route(paths::ADMIN_REPLAY, post(replay))
        .route(paths::ADMIN_DISCARD, post(discard))
}

/// The ways to the services, by their names.
pub(crate) struct Consumers(Vec<(&'static str, Peer)>);

impl Consumers {
    pub(crate) fn new(
        settings: &Settings,
        services: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, Error> {
        let mut names: Vec<_> = services.into_iter().collect();
        names.sort_unstable();
        let limits = Limits { connections: 1, ..Limits::default() };
        let peer = |name| Ok((name, Peer::of(name, &settings.peers, None, limits)?));
        Ok(Self(names.into_iter().map(peer).collect::<Result<_, Error>>()?))
    }

    fn client(&self, name: &str) -> Result<ParkedEventsClient<Channel>, Failure> {
        let peer = self.0.iter().find(|(known, _)| *known == name);
        let (_, peer) = peer.ok_or_else(Failure::not_found)?;
        Ok(ParkedEventsClient::new(peer.channel()))
    }
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    admin(&visit)?;
    page(&visit, &Tried::default()).await
}

async fn replay(visit: Visit, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let done = async {
        let message = ReplayParkedEventsRequest {
            consumer: form.text("consumer").to_owned(),
            source: form.text("source").to_owned(),
            correlation_id: form.text("correlation").to_owned(),
        };
        let mut consumer = visit.web.parked.client(&message.consumer)?;
        consumer.replay(visit.ask(message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, done, form).await
}

async fn discard(visit: Visit, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let done = async {
        let message = DiscardParkedEventsRequest {
            consumer: form.text("consumer").to_owned(),
            source: form.text("source").to_owned(),
            correlation_id: form.text("correlation").to_owned(),
            position: form.number("position")?,
            reason: form.text("reason").to_owned(),
        };
        let mut consumer = visit.web.parked.client(&message.consumer)?;
        consumer.discard(visit.ask(message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, done, form).await
}

async fn after(
    visit: &Visit,
    done: Result<(), Failure>,
    form: Posted,
) -> Result<Response, Failure> {
    match console::settled(visit, paths::ADMIN_PARKED, done) {
        Err(failure) if !failure.wants_sign_in() => {
            let name = form.text("name").to_owned();
            page(visit, &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, tried: &Tried) -> Result<Response, Failure> {
    let (parked, away) = all(visit).await?;
    let title = visit.t("보류된 이벤트", "Parked events");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        p.aside { (visit.t(
            "적용하지 못한 이벤트와 그 뒤에 기다리는 이벤트입니다. 원인을 고친 뒤 다시 적용하세요.",
            "Events that could not be applied, and those behind them. Put right what was wrong, then apply them again.")) }
        @if !away.is_empty() {
            p.alert.alert-wait role="status" {
                (visit.t("응답하지 않은 서비스: ", "Services that did not answer: ")) (away.join(", "))
            }
        }
        @if parked.is_empty() {
            (view::empty(visit.t("보류된 이벤트가 없습니다", "Nothing is parked"),
                visit.t("모든 이벤트가 적용되었습니다.", "All events were applied."), None))
        }
        ul.stack-tight { @for event in &parked { li { (card(visit, event, tried)) } } }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

/// What is parked, and the services that did not say.
async fn all(visit: &Visit) -> Result<(Vec<ParkedEvent>, Vec<&'static str>), Failure> {
    let ask = async |name: &'static str, peer: &Peer| {
        let mut asked = visit.ask(ListParkedEventsRequest { consumer: name.to_owned() });
        asked.set_timeout(WITHIN);
        let mut consumer = ParkedEventsClient::new(peer.channel());
        (name, tokio::time::timeout(WITHIN, consumer.list(asked)).await)
    };
    let answers = join_all(visit.web.parked.0.iter().map(|(name, peer)| ask(name, peer))).await;
    let (mut parked, mut away) = (Vec::new(), Vec::new());
    for (name, answer) in answers {
        match answer.map(|answer| answer.map_err(Failure::from)) {
            Ok(Ok(list)) => parked.extend(list.into_inner().events),
            Ok(Err(failure)) if failure.wants_sign_in() => return Err(failure),
            Ok(Err(_)) | Err(_) => away.push(name),
        }
    }
    Ok((parked, away))
}

fn card(visit: &Visit, event: &ParkedEvent, tried: &Tried) -> Markup {
    let name = format!("{}-{}-{}", event.consumer, event.source, event.position);
    html! {
        article.card {
            div.row.row-apart {
                h2 { code { (event.r#type) } " " span.aside { (event.source) " → " (event.consumer) } }
                @if event.replaying { (view::badge(Tone::Busy, visit.t("다시 적용중", "Being applied"))) }
                @else if event.error.is_empty() { (view::badge(Tone::Plain, visit.t("뒤에서 기다림", "Behind another"))) }
                @else { (view::badge(Tone::Bad, visit.t("실패", "Failed"))) }
            }
            @if !event.error.is_empty() { p { code { (event.error) } } }
            (console::facts(vec![
                (visit.t("보류된 때", "Parked"), view::time(visit, event.park_time.as_ref())),
                (visit.t("위치", "Position"), html! { (event.position) }),
                (visit.t("관련", "Concerns"), html! {
                    a href=(paths::with(paths::ADMIN_STORY, &[("order", &event.correlation_id)])) {
                        (console::id(&event.correlation_id))
                    }
                }),
            ]))
            (forms(visit, event, &name, tried))
        }
    }
}

fn forms(visit: &Visit, event: &ParkedEvent, name: &str, tried: &Tried) -> Markup {
    let hidden = |name: &str| {
        html! {
            input type="hidden" name="name" value=(name);
            input type="hidden" name="consumer" value=(event.consumer);
            input type="hidden" name="source" value=(event.source);
            input type="hidden" name="correlation" value=(event.correlation_id);
        }
    };
    let (again, give_up) = (tried.of(&format!("again-{name}")), tried.of(name));
    let replay = html! {
        (hidden(&format!("again-{name}")))
        button.button { (visit.t("다시 적용", "Apply again")) }
    };
    let id = format!("r-{name}");
    let discard = html! {
        (hidden(name))
        input type="hidden" name="position" value=(event.position);
        (Field::new("reason", ("이유", "Why")).id(&id).required().longest(500).show(visit, &give_up))
        button.button.button-danger { (visit.t("버리기", "Discard")) }
    };
    html! {
        (form::post(visit, paths::ADMIN_REPLAY, &again, &replay))
        (console::folded(visit, ("버리기", "Give it up"), paths::ADMIN_DISCARD, &give_up, &discard))
    }
}

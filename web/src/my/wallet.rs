//! The wallet: its balance, topping it up, paying it out, and what moved it.

use axum::{Router, extract::Query, response::Response, routing::get, routing::post};
use contracts::{
    order::v1::BankAccount,
    payment::v1::{
        GetWalletRequest, ListPayoutsRequest, ListWalletEntriesRequest, PayOutWalletRequest,
        Payout, TopUpWalletRequest, WalletEntry,
    },
};
use futures_util::join;
use maud::{Markup, html};

use super::{away::Away, live, orders::Asked, points::signed, states, tabs};
use crate::{
    checkout,
    failure::Failure,
    form::{self, Field, Filled, Posted},
    layout::{Notice, Page},
    paths, view,
    visit::Visit,
};

const PAGE: i32 = 30;

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::MY_WALLET, get(show))
        .route(paths::MY_WALLET_TOP_UP, post(top_up))
        .route(paths::MY_WALLET_PAY_OUT, post(pay_out))
}

/// The two forms of the page.
#[derive(Default)]
struct Forms {
    top_up: Filled,
    pay_out: Filled,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    page(&visit, &asked.page, &Forms::default()).await
}

async fn top_up(visit: Visit, form: Posted) -> Result<Response, Failure> {
    let done = async {
        let message = TopUpWalletRequest {
            member_id: visit.member_id()?,
            amount: view::money(form.number("amount")?),
            card_token: form.text("cardToken").to_owned(),
        };
        visit.payments().top_up_wallet(visit.command(form.key(), message)).await?;
        Ok(())
    };
    match done.await {
        Ok(()) => Ok(visit.go(paths::MY_WALLET, Some(Notice::ToppedUp))),
        Err(failure) => {
            failed(&visit, failure, |it| Forms { top_up: form.refused(it), ..<_>::default() }).await
        }
    }
}

async fn pay_out(visit: Visit, form: Posted) -> Result<Response, Failure> {
    let text = |name| form.text(name).to_owned();
    let done = async {
        let account = BankAccount {
            bank_code: text("account.bankCode"),
            account_number: text("account.accountNumber"),
            holder: text("account.holder"),
        };
        let message = PayOutWalletRequest {
            member_id: visit.member_id()?,
            amount: view::money(form.number("amount")?),
            account: Some(account),
        };
        visit.payments().pay_out_wallet(visit.command(form.key(), message)).await?;
        Ok(())
    };
    match done.await {
        Ok(()) => Ok(visit.go(paths::MY_WALLET, Some(Notice::PaidOut))),
        Err(failure) => {
            failed(&visit, failure, |it| Forms { pay_out: form.refused(it), ..<_>::default() })
                .await
        }
    }
}

async fn failed(
    visit: &Visit,
    failure: Failure,
    forms: impl FnOnce(Failure) -> Forms,
) -> Result<Response, Failure> {
    if failure.wants_sign_in() {
        return Err(failure);
    }
    page(visit, "", &forms(failure)).await
}

async fn page(visit: &Visit, token: &str, forms: &Forms) -> Result<Response, Failure> {
    let title = visit.t("지갑", "Wallet");
    let away = Away::now(visit).await?;
    let content = if away.has("payment") {
        away.show(visit)
    } else {
        match content(visit, token, forms).await {
            Err(failure) if failure.is_away() => {
                view::away(visit, ("결제", "Payment"), failure.wait())
            }
            content => content?,
        }
    };
    let content = live("wallet", &content);
    let main = html! { h1 { (title) } (tabs(visit)) (content) };
    let failure = forms.top_up.failure().or(forms.pay_out.failure());
    Ok(Page::new(visit, title).failed(failure).show(&main))
}

async fn content(visit: &Visit, token: &str, forms: &Forms) -> Result<Markup, Failure> {
    let member_id = visit.member_id()?;
    let (mut one, mut two, mut three) = (visit.payments(), visit.payments(), visit.payments());
    let entries = ListWalletEntriesRequest {
        member_id: member_id.clone(),
        page_size: PAGE,
        page_token: token.to_owned(),
    };
    let payouts =
        ListPayoutsRequest { page_size: 5, member_id: member_id.clone(), ..<_>::default() };
    let (wallet, entries, payouts) = join!(
        one.get_wallet(visit.ask(GetWalletRequest { member_id })),
        two.list_wallet_entries(visit.ask(entries)),
        three.list_payouts(visit.ask(payouts)),
    );
    let (wallet, entries) = (wallet?.into_inner(), entries?.into_inner());
    let payouts = payouts?.into_inner().payouts;
    let balance = view::won(wallet.balance.as_ref());
    Ok(html! {
        section.card {
            h2 { (visit.t("잔액", "Balance")) }
            p.price.price-large { (view::price(visit, balance)) }
        }
        div.columns.columns-two {
            section.card { h2 { (visit.t("충전하기", "Top up")) } (top_up_form(visit, &forms.top_up)) }
            section.card { h2 { (visit.t("출금하기", "Pay out")) } (pay_out_form(visit, balance, &forms.pay_out)) }
        }
        (payout_list(visit, &payouts))
        (history(visit, &entries.entries))
        (view::pages(visit, paths::MY_WALLET, &[], token, &entries.next_page_token))
    })
}

fn top_up_form(visit: &Visit, filled: &Filled) -> Markup {
    let fields = html! {
        (Field::new("amount", ("충전 금액", "Amount")).number(1, 1_000_000_000).required()
            .hint(visit.t("원 단위", "in won")).show(visit, filled))
        (checkout::card_field(visit, filled))
        button.button.button-main.wide { (visit.t("충전", "Top up")) }
    };
    form::post(visit, paths::MY_WALLET_TOP_UP, filled, &fields)
}

fn pay_out_form(visit: &Visit, balance: i64, filled: &Filled) -> Markup {
    if balance == 0 && filled.failure().is_none() {
        return html! { p.aside { (visit.t("출금할 잔액이 없습니다.", "There is nothing to pay out.")) } };
    }
    let banks = [
        ("004", "국민은행", "KB Kookmin"),
        ("088", "신한은행", "Shinhan"),
        ("020", "우리은행", "Woori"),
        ("081", "하나은행", "Hana"),
        ("011", "농협은행", "NH"),
        ("090", "카카오뱅크", "KakaoBank"),
        ("092", "토스뱅크", "Toss Bank"),
    ];
    let banks = banks.map(|(code, ko, en)| (code.to_owned(), visit.t(ko, en).to_owned()));
    let fields = html! {
        // Of another form on the page there is one of the same name.
        (Field::new("amount", ("출금 금액", "Amount")).id("payout-amount").number(1, balance.max(1))
            .required().value(balance).show(visit, filled))
        (form::select(visit, filled, "account.bankCode", ("은행", "Bank"), &banks))
        (Field::new("account.accountNumber", ("계좌번호", "Account number")).required().longest(20)
            .show(visit, filled))
        (Field::new("account.holder", ("예금주", "Holder")).required().complete("name").longest(100)
            .show(visit, filled))
        button.button.wide { (visit.t("출금", "Pay out")) }
    };
    form::post(visit, paths::MY_WALLET_PAY_OUT, filled, &fields)
}

fn payout_list(visit: &Visit, payouts: &[Payout]) -> Markup {
    let title = visit.t("출금 현황", "Payouts");
    let columns = [
        visit.t("날짜", "When"),
        visit.t("계좌", "Account"),
        visit.t("금액", "Amount"),
        visit.t("상태", "State"),
    ];
    let row = |payout: &Payout| {
        let (tone, text) = states::payout(payout.state());
        let account = payout.account.as_ref().map(|it| it.account_number.clone());
        let amount = view::price(visit, view::won(payout.amount.as_ref()));
        vec![
            view::time(visit, payout.create_time.as_ref()),
            html! { (account.unwrap_or_default()) },
            html! { span.number { (amount) } },
            html! { (view::badge(tone, visit.text(text)))
            @if !payout.failure.is_empty() { p.aside { (payout.failure) } } },
        ]
    };
    let rows: Vec<_> = payouts.iter().map(row).collect();
    html! { @if !rows.is_empty() { h2 { (title) } (view::table(title, &columns, &rows)) } }
}

fn history(visit: &Visit, entries: &[WalletEntry]) -> Markup {
    let title = visit.t("지갑 내역", "History");
    let columns = [visit.t("날짜", "When"), visit.t("내용", "What"), visit.t("금액", "Amount")];
    let row = |entry: &WalletEntry| {
        let won = view::won(entry.amount.as_ref());
        let what = visit.text(states::movement(entry.kind()));
        vec![
            view::time(visit, entry.create_time.as_ref()),
            html! {
                @if entry.order_id.is_empty() { (what) }
                @else { a href=(paths::to(paths::MY_ORDER, &entry.order_id)) { (what) } }
                @if !entry.reason.is_empty() { p.aside { (entry.reason) } }
            },
            signed(won, &view::price(visit, won)),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    html! {
        h2 { (title) }
        @if rows.is_empty() {
            (view::empty(visit.t("내역이 없습니다", "Nothing yet"),
                visit.t("충전하면 여기에 남습니다.", "Top-ups and payments are listed here."), None))
        } @else { (view::table(title, &columns, &rows)) }
    }
}

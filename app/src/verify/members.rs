//! Members and what they hold: a coupon and a message for signing up, no coupon for
//! who has withdrawn, and a page that shows it as it is.

use std::collections::BTreeSet;

use anyhow::Result;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    findings::{About, Rule, Suspicions},
    orders,
    scope::Scope,
    sources::{Sorted, Sources},
};

pub(super) const RULES: &[Rule] = &[COUPON, WELCOME, GONE];

const COUPON: Rule = "no member who is WITHDRAWN has a coupon that is ISSUED";
const WELCOME: Rule =
    "each member got one coupon, one message to the admin went out, and the flags say so";
const GONE: Rule = "order knows each member who has withdrawn, and no other";

const MEMBERS: &str = "
    select id, state, coupon_issued, coupon_cancelled, admin_notified from member
    where $1::uuid[] is null or id = any($1) order by id";

const SIGNED_UP: &str = "
    select member_id, id, state from coupon
    where $1::uuid[] is null or member_id = any($1) order by member_id";

const COUPONS: &str = "
    select member_id, id, state from member_coupon
    where $1::uuid[] is null or member_id = any($1) order by member_id";

const ADMIN: &str = "
    select subject_id from notification
    where audience = 'ADMIN' and ($1::uuid[] is null or subject_id = any($1)) order by subject_id";

const PAGES: &str = "
    select member_id, withdrawn, admin_notified from member_view
    where registered and ($1::uuid[] is null or member_id = any($1)) order by member_id";

const SHOWN: &str = "
    select member_id, coupon_id, state from coupon_view
    where $1::uuid[] is null or member_id = any($1) order by member_id";

const WITHDRAWN: &str = "
    select member_id from withdrawn_member
    where $1::uuid[] is null or member_id = any($1) order by member_id";

/// What others know of members, list by list.
struct Lists {
    members: Sorted,
    signed_up: Sorted,
    coupons: Sorted,
    admin: Sorted,
    pages: Sorted,
    shown: Sorted,
    withdrawn: Sorted,
}

/// What everybody knows of one member.
#[derive(Debug, Default)]
struct Whole {
    member: Option<Member>,
    /// What became of their sign-up: the id of the coupon for it, and its state.
    signed_up: Vec<(Uuid, String)>,
    /// Ids and states.
    coupons: BTreeSet<(Uuid, String)>,
    /// Messages to the admin.
    admin: usize,
    /// Whether My Page shows them, as withdrawn, and as known to the admin.
    page: Option<(bool, bool)>,
    /// Ids and states, as they are shown.
    shown: BTreeSet<(Uuid, String)>,
    /// Order takes nothing from them any more.
    withdrawn: bool,
}

/// A member, as member knows them.
#[derive(Debug, Default)]
struct Member {
    state: String,
    coupon_issued: bool,
    coupon_cancelled: bool,
    admin_notified: bool,
}

pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    let mut lists = Lists::open(sources, scope).await?;
    while let Some(id) = lists.next() {
        let whole = lists.take(id).await?;
        let mut says = |rule, offence: Option<String>| {
            if let Some(state) = offence {
                found.suspect(rule, About::Entity("member", id), state);
            }
        };
        says(COUPON, whole.keeps());
        says(WELCOME, whole.unwelcome());
        says(GONE, whole.half_gone());
        says(orders::POINTS, whole.misshown());
    }
    Ok(())
}

impl Lists {
    async fn open(sources: &Sources, scope: &Scope) -> Result<Self> {
        let list = async |service, sql| sources.sorted(service, sql, scope.ids()).await;
        Ok(Self {
            members: list("member", MEMBERS).await?,
            signed_up: list("coupon", SIGNED_UP).await?,
            coupons: list("coupon", COUPONS).await?,
            admin: list("notification", ADMIN).await?,
            pages: list("mypage", PAGES).await?,
            shown: list("mypage", SHOWN).await?,
            withdrawn: list("order", WITHDRAWN).await?,
        })
    }

    /// The next member that anyone knows of.
    fn next(&self) -> Option<Uuid> {
        let Self { members, signed_up, coupons, admin, pages, shown, withdrawn } = self;
        let lists = [members, signed_up, coupons, admin, pages, shown, withdrawn];
        lists.into_iter().filter_map(Sorted::id).min()
    }

    async fn take(&mut self, id: Uuid) -> Result<Whole> {
        let mut whole = Whole::default();
        while let Some(row) = self.members.take(id).await? {
            whole.member = Some(member(&row));
        }
        while let Some(row) = self.signed_up.take(id).await? {
            whole.signed_up.push((row.get(1), row.get(2)));
        }
        while let Some(row) = self.coupons.take(id).await? {
            whole.coupons.insert((row.get(1), row.get(2)));
        }
        while self.admin.take(id).await?.is_some() {
            whole.admin += 1;
        }
        while let Some(row) = self.pages.take(id).await? {
            whole.page = Some((row.get(1), row.get(2)));
        }
        while let Some(row) = self.shown.take(id).await? {
            whole.shown.insert((row.get(1), row.get(2)));
        }
        while self.withdrawn.take(id).await?.is_some() {
            whole.withdrawn = true;
        }
        Ok(whole)
    }
}

fn member(row: &Row) -> Member {
    Member {
        state: row.get(1),
        coupon_issued: row.get(2),
        coupon_cancelled: row.get(3),
        admin_notified: row.get(4),
    }
}

impl Whole {
    fn state(&self) -> &str {
        self.member.as_ref().map_or("unknown", |member| &member.state)
    }

    /// Whether one of their coupons is in this state.
    fn has(&self, state: &str) -> bool {
        self.coupons.iter().any(|(_, of)| of == state)
    }

    fn keeps(&self) -> Option<String> {
        let coupon = self.coupons.iter().find(|(_, state)| state == "ISSUED");
        let coupon = coupon.filter(|_| self.state() == "WITHDRAWN");
        coupon.map(|(id, _)| format!("is WITHDRAWN and has the coupon {id}"))
    }

    /// Whether coupon knows the member as one who is in this state.
    fn welcomed(&self, state: &str) -> bool {
        let [(id, signed_up)] = self.signed_up.as_slice() else {
            return self.signed_up.is_empty() && !matches!(state, "ACTIVE" | "WITHDRAWN");
        };
        let got = self.coupons.iter().any(|(coupon, _)| coupon == id);
        match (state, &**signed_up) {
            // One that withdrew first has a tombstone.
            ("WITHDRAWN" | "WITHDRAWING", "REFUSED") => self.coupons.is_empty(),
            // That a withdrawn one is kept all the same is for another rule.
            ("ACTIVE", state) => state == "ISSUED" && got,
            _ => got,
        }
    }

    /// A coupon or a message that is missing, or not known of.
    fn unwelcome(&self) -> Option<String> {
        let (issued, cancelled) = (!self.coupons.is_empty(), self.has("CANCELLED"));
        let (admin, state) = (self.admin, self.state());
        let count = self.coupons.len();
        let Some(member) = &self.member else {
            let known = count + admin > 0;
            return known.then(|| format!("is unknown, with {count} coupons"));
        };
        let leaves = state == "WITHDRAWING" || (state == "WITHDRAWN" && self.has("ISSUED"));
        let flags = member.admin_notified == (admin > 0)
            && (leaves || member.coupon_issued == issued)
            && (leaves || member.coupon_cancelled == cancelled);
        (!self.welcomed(state) || admin != 1 || !flags).then(|| {
            let states: Vec<_> = self.coupons.iter().map(|(_, state)| state).collect();
            let said = |flag| if flag { "yes" } else { "no" };
            format!(
                "is {state} with coupons {states:?} and {admin} messages to the admin; its flags say \
                 issued: {}, cancelled: {}, notified: {}",
                said(member.coupon_issued),
                said(member.coupon_cancelled),
                said(member.admin_notified)
            )
        })
    }

    fn half_gone(&self) -> Option<String> {
        let gone = self.state() == "WITHDRAWN";
        let known = if self.withdrawn { "gone" } else { "here" };
        (gone != self.withdrawn)
            .then(|| format!("is {}, order knows them as {known}", self.state()))
    }

    /// What My Page shows otherwise, or not at all.
    fn misshown(&self) -> Option<String> {
        let said = self.member.as_ref().map(|_| (self.state() == "WITHDRAWN", self.admin > 0));
        if said != self.page {
            let word = |page: Option<(bool, bool)>| match page {
                None => "not at all",
                Some((true, true)) => "withdrawn, known to the admin",
                Some((true, false)) => "withdrawn, unknown to the admin",
                Some((false, true)) => "known to the admin",
                Some((false, false)) => "unknown to the admin",
            };
            return Some(format!("is shown {}, not {}", word(self.page), word(said)));
        }
        (self.coupons != self.shown).then(|| {
            let words = |coupons: &BTreeSet<(Uuid, String)>| -> Vec<String> {
                coupons.iter().map(|(_, state)| state.clone()).collect()
            };
            let (shown, said) = (words(&self.shown), words(&self.coupons));
            format!("is shown with coupons {shown:?}, not {said:?}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(1);

    fn well(state: &str, coupon: &str) -> Whole {
        let (gone, cancelled) = (state == "WITHDRAWN", coupon == "CANCELLED");
        let issued = cancelled || coupon == "ISSUED";
        let member = Member {
            state: state.into(),
            coupon_issued: issued,
            coupon_cancelled: cancelled,
            admin_notified: true,
        };
        Whole {
            member: Some(member),
            signed_up: vec![(ID, coupon.into())],
            coupons: issued.then(|| (ID, coupon.into())).into_iter().collect(),
            admin: 1,
            page: Some((gone, true)),
            shown: issued.then(|| (ID, coupon.into())).into_iter().collect(),
            withdrawn: gone,
        }
    }

    #[test]
    fn a_member_is_welcome_and_leaves_for_good() {
        for (state, coupon) in [
            ("ACTIVE", "ISSUED"),
            ("WITHDRAWING", "CANCELLED"),
            ("WITHDRAWN", "CANCELLED"),
            ("WITHDRAWN", "REFUSED"),
        ] {
            let whole = well(state, coupon);
            assert_eq!((whole.keeps(), whole.unwelcome()), (None, None), "{state} {coupon}");
            assert_eq!((whole.half_gone(), whole.misshown()), (None, None), "{state} {coupon}");
        }
        assert!(well("WITHDRAWN", "ISSUED").keeps().is_some());
        assert!(Whole { withdrawn: false, ..well("WITHDRAWN", "CANCELLED") }.half_gone().is_some());
    }

    #[test]
    fn what_a_member_did_not_get_is_found() {
        let lost = |lose: fn(&mut Whole)| {
            let mut whole = well("ACTIVE", "ISSUED");
            lose(&mut whole);
            (whole.unwelcome().is_some(), whole.misshown().is_some())
        };
        assert_eq!(lost(|whole| whole.coupons.clear()), (true, true));
        assert_eq!(lost(|whole| whole.signed_up.clear()), (true, false));
        assert_eq!(lost(|whole| whole.shown.clear()), (false, true));
        assert_eq!(lost(|whole| whole.page = None), (false, true));
        assert_eq!(lost(|whole| whole.admin = 0), (true, true));
        let flag = |whole: &mut Whole| whole.member.as_mut().unwrap().admin_notified = false;
        assert_eq!(lost(flag), (true, false));
        let flag = |whole: &mut Whole| whole.member.as_mut().unwrap().coupon_issued = false;
        assert_eq!(lost(flag), (true, false));
    }

    #[test]
    fn a_coupon_of_nobody_is_found() {
        let whole = Whole { member: None, page: None, ..well("ACTIVE", "ISSUED") };
        assert_eq!(whole.unwelcome().as_deref(), Some("is unknown, with 1 coupons"));
    }
}

//! The life of a delivery, one sentence each.

use super::*;

fn new() -> Progress {
    Progress { state: State::New, parcel: None, dispatch_attempts: 0 }
}

fn started() -> Progress {
    let mut delivery = new();
    delivery.learn(Fact::Prepared);
    delivery
}

fn parcel(number: &str) -> Parcel {
    Parcel { carrier: "CJ".into(), tracking_number: number.into() }
}

fn dispatched() -> Progress {
    let mut delivery = started();
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Ok(Some(1)));
    assert_eq!(delivery.dispatched(&parcel("1")), Ok(true));
    delivery
}

#[test]
fn a_delivery_starts_once_and_ends_once() {
    let mut delivery = started();
    assert!(!delivery.learn(Fact::Prepared));
    assert!(delivery.learn(Fact::Closed));
    assert!(!delivery.learn(Fact::Cancelled));
    assert_eq!(delivery.state, State::Completed);
}

#[test]
fn an_order_cancelled_first_is_never_delivered() {
    let mut delivery = new();
    assert!(delivery.learn(Fact::Cancelled));
    assert!(!delivery.learn(Fact::Prepared));
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Err(Refusal::NotStarted));
}

#[test]
fn a_dispatch_is_repeated_with_the_same_parcel_alone() {
    let mut delivery = dispatched();
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Ok(None));
    assert_eq!(delivery.begin_dispatch(&parcel("2")), Err(Refusal::AlreadyDispatched));
    assert_eq!(delivery.deliver(false), Ok(true));
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Ok(None));
    assert_eq!(delivery.deliver(true), Ok(false));
    delivery.learn(Fact::Closed);
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Ok(None));
    assert_eq!(delivery.deliver(true), Ok(false));
}

#[test]
fn while_order_is_asked_another_parcel_waits() {
    let mut delivery = started();
    assert_eq!(delivery.begin_dispatch(&parcel("1")), Ok(Some(1)));
    assert_eq!(delivery.begin_dispatch(&parcel("2")), Err(Refusal::DispatchPending));
    assert_eq!(delivery.join_dispatch(), Some((parcel("1"), 2)));
    assert!(!delivery.dispatch_never_ran(1), "another has joined");
    delivery.dispatch_refused();
    assert_eq!(delivery, started());
    assert_eq!(delivery.join_dispatch(), None);
}

#[test]
fn a_call_that_never_ran_leaves_the_delivery_as_it_was() {
    let mut delivery = started();
    delivery.begin_dispatch(&parcel("1")).expect("started");
    assert!(delivery.dispatch_never_ran(1));
    assert_eq!(delivery, started());
}

#[test]
fn an_order_that_ended_meanwhile_decides() {
    let mut cancelled = started();
    cancelled.begin_dispatch(&parcel("1")).expect("started");
    cancelled.learn(Fact::Cancelled);
    assert_eq!(cancelled.join_dispatch(), None);
    assert_eq!(cancelled.dispatched(&parcel("1")), Err(Refusal::Cancelled));

    let mut completed = started();
    completed.begin_dispatch(&parcel("1")).expect("started");
    completed.learn(Fact::Closed);
    assert_eq!(completed.dispatched(&parcel("1")), Ok(false));
    assert_eq!((completed.state, completed.parcel), (State::Completed, Some(parcel("1"))));
}

/// What can happen to a delivery, in any order and any number of times.
#[derive(Clone, Copy, Debug)]
enum Step {
    Learn(Fact),
    Dispatch(&'static str),
    Join,
    Agreed,
    Refused,
    NeverRan,
    Deliver,
}

const STEPS: [Step; 10] = [
    Step::Learn(Fact::Prepared),
    Step::Learn(Fact::Closed),
    Step::Learn(Fact::Cancelled),
    Step::Dispatch("1"),
    Step::Dispatch("2"),
    Step::Join,
    Step::Agreed,
    Step::Refused,
    Step::NeverRan,
    Step::Deliver,
];

fn take(delivery: &mut Progress, step: Step) {
    let asked = delivery.parcel.clone().filter(|_| delivery.dispatch_attempts > 0);
    match step {
        Step::Learn(fact) => drop(delivery.learn(fact)),
        Step::Dispatch(number) => drop(delivery.begin_dispatch(&parcel(number))),
        Step::Join => drop(delivery.join_dispatch()),
        // Order answers only who has asked.
        Step::Agreed => {
            if let Some(parcel) = asked {
                assert_eq!(delivery.dispatched(&parcel), Ok(true));
            }
        }
        Step::Refused if asked.is_some() => delivery.dispatch_refused(),
        Step::NeverRan if asked.is_some() => {
            delivery.dispatch_never_ran(delivery.dispatch_attempts);
        }
        Step::Refused | Step::NeverRan => {}
        Step::Deliver => drop(delivery.deliver(false)),
    }
}

/// How far a state is on the way; an end is an end.
fn place(state: State) -> u8 {
    match state {
        State::New => 0,
        State::Started => 1,
        State::Dispatched => 2,
        State::Delivered => 3,
        State::Completed | State::Cancelled | State::Refused => 4,
    }
}

fn every_history(delivery: &Progress, left: u32, histories: &mut u32) {
    *histories = histories.saturating_add(1);
    let Progress { state, parcel, dispatch_attempts } = delivery;
    assert!(*dispatch_attempts == 0 || (*state == State::Started && parcel.is_some()));
    let gone = matches!(state, State::Dispatched | State::Delivered);
    assert!(!gone || parcel.is_some(), "nothing is on its way without a parcel");
    assert!(*state != State::Started || parcel.is_some() == (*dispatch_attempts > 0));
    let Some(left) = left.checked_sub(1) else { return };
    for step in STEPS {
        let mut next = delivery.clone();
        take(&mut next, step);
        assert!(place(next.state) >= place(*state), "{state:?} {step:?}");
        assert!(place(*state) < 4 || next.state == *state, "{state:?} {step:?}");
        every_history(&next, left, histories);
    }
}

#[test]
fn whatever_happens_a_delivery_goes_on_and_ends_once() {
    let mut histories = 0;
    every_history(&new(), 5, &mut histories);
    every_history(&dispatched(), 4, &mut histories);
    assert!(histories > 100_000);
}

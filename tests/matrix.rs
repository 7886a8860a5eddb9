//! Who may call what: every method of every service, called by everybody, over gRPC
//! and over REST, against the real program. What has to come back follows from the
//! contracts' `access` options alone, and no method is named here: a new one is
//! covered by being there. Only health and reflection are not asked who calls.

mod callers;
pub(crate) mod methods;

use annotations::Access;
use futures_util::{StreamExt as _, stream};
use tonic::Code;

use self::{
    callers::{ActsFor, Who, World},
    methods::{Answer, Rpc, methods},
};

/// What has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Unauthenticated,
    Denied,
    /// As if the owner's resource did not exist.
    NotTheirs,
    /// Whatever the handler says: it was reached.
    Passes,
    /// The handler was reached, and found the resource.
    Serves,
}

/// What the contract says about a caller.
fn expected(access: &Access, who: &Who) -> Expected {
    let owner = access.owner.is_some();
    if access.roles.iter().any(|role| role == "ANYONE") {
        return Expected::Passes;
    }
    match who {
        Who::Nobody => Expected::Unauthenticated,
        Who::Person { roles, .. } if roles.iter().any(|role| access.roles.contains(role)) => {
            Expected::Passes
        }
        Who::Person { owner: true, .. } if owner => Expected::Serves,
        Who::Person { .. } if owner => Expected::NotTheirs,
        Who::Service { name, acts_for } if access.callers.iter().any(|c| c == "*" || c == name) => {
            match acts_for {
                _ if access.on_behalf_of.is_none() => Expected::Passes,
                ActsFor::Nobody => Expected::Denied,
                ActsFor::Somebody => Expected::NotTheirs,
                ActsFor::Owner => Expected::Passes,
            }
        }
        Who::Operator if !access.callers.is_empty() => Expected::Passes,
        _ => Expected::Denied,
    }
}

/// What is wrong with an answer, if anything. `secret` is the owner's id.
fn complaint(expected: Expected, access: &Access, answer: &Answer, secret: &str) -> Option<String> {
    let right = match expected {
        Expected::Unauthenticated => answer.code == Code::Unauthenticated,
        Expected::Denied => answer.code == Code::PermissionDenied,
        // A list of what is someone else's is one of the caller's own.
        Expected::NotTheirs if access.owner.as_deref() == Some("resource") => {
            answer.code == Code::NotFound
                || answer.code == Code::Ok && !answer.text.contains(secret)
        }
        Expected::NotTheirs => answer.code == Code::NotFound,
        // Reached, and refused for how the message itself is signed.
        Expected::Passes if answer.text.contains("not signed") => {
            answer.code == Code::Unauthenticated
        }
        Expected::Passes => !matches!(
            answer.code,
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
        ),
        Expected::Serves => !matches!(
            answer.code,
            Code::Unauthenticated | Code::PermissionDenied | Code::NotFound | Code::Unimplemented
        ),
    };
    (!right).then(|| format!("{expected:?} expected, got {:?}: {}", answer.code, answer.text))
}

/// Everybody, in an order in which nobody spoils it for those who come later: who ends the owner's
/// membership comes after the owner.
fn everybody(access: &Access) -> Vec<Who> {
    let person = |role: &str| Who::Person { roles: vec![role.to_owned()], owner: false };
    let mut all = vec![
        Who::Nobody,
        person("MEMBER"),
        person("SELLER"),
        Who::Person { roles: vec!["MEMBER".to_owned()], owner: true },
        person("ADMIN"),
        Who::Operator,
    ];
    let may = |name: &&str| access.callers.iter().any(|caller| caller == "*" || caller == name);
    let services = app::run::SERVICES.iter().map(|service| service.name);
    let (allowed, others): (Vec<_>, Vec<_>) = services.partition(may);
    // One of those that may not, and all that may; of none, nothing is left to try.
    let services = others.into_iter().take(1).chain(allowed);
    let acts_for: &[ActsFor] = if access.on_behalf_of.is_some() {
        &[ActsFor::Nobody, ActsFor::Somebody, ActsFor::Owner]
    } else {
        &[ActsFor::Nobody]
    };
    all.extend(services.flat_map(|name| {
        acts_for.iter().map(|&acts_for| Who::Service { name: name.to_owned(), acts_for })
    }));
    all
}

async fn complaints(world: &World, method: &Rpc, rest: bool) -> Vec<String> {
    let owner = if method.reads { world.reader().clone() } else { world.owner().await };
    let mut complaints = Vec::new();
    for who in everybody(&method.access) {
        let answer = if rest {
            world.call_rest(method, &who, &owner).await
        } else {
            world.call_grpc(method, &who, &owner).await
        };
        let expected = expected(&method.access, &who);
        if let Some(complaint) = complaint(expected, &method.access, &answer, &owner.id) {
            let how = if rest { "REST" } else { "gRPC" };
            complaints.push(format!("{} as {who:?} over {how}: {complaint}", method.path));
        }
    }
    complaints
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_call_what_the_contracts_say_and_nothing_else() {
    let world = World::open().await;
    let methods = methods();
    let services = world.services().await;
    for service in services.iter().filter(|service| !service.starts_with("grpc.")) {
        let prefix = format!("/{service}/");
        assert!(methods.iter().any(|method| method.path.starts_with(&prefix)), "no {service}");
    }
    assert!(methods.len() > 35, "only {} methods", methods.len());
    let calls = methods.iter().flat_map(|method| {
        let rest = method.route.is_some().then_some((method, true));
        [(method, false)].into_iter().chain(rest)
    });
    let wrong = stream::iter(calls).map(|(method, rest)| complaints(&world, method, rest));
    let wrong: Vec<_> = wrong.buffer_unordered(8).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_answer_that_should_not_be_is_found_out() {
    let access = |owner: &str| Access { owner: Some(owner.into()), ..Access::default() };
    let answer = |code, text: &str| Answer { code, text: text.into() };
    let wrong = |expected, owner: &str, answer: Answer| {
        complaint(expected, &access(owner), &answer, "kim").is_some()
    };
    assert!(wrong(Expected::Unauthenticated, "id", answer(Code::Ok, "")));
    assert!(wrong(Expected::Denied, "id", answer(Code::NotFound, "")));
    assert!(wrong(Expected::NotTheirs, "id", answer(Code::Ok, "[]")));
    assert!(wrong(Expected::NotTheirs, "resource", answer(Code::Ok, "[kim]")));
    assert!(!wrong(Expected::NotTheirs, "resource", answer(Code::Ok, "[]")));
    assert!(wrong(Expected::Passes, "id", answer(Code::PermissionDenied, "")));
    assert!(wrong(Expected::Serves, "id", answer(Code::NotFound, "")));
}

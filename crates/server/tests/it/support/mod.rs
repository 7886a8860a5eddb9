//! What a process with no service of the shop's serves.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use schema::{Access, Api};

/// As the contracts have it.
const ACCESS: &[Access] = &[
    access("/hansang.clock.v1.ClockService/Advance", &["ADMIN"], &[]),
    access("/hansang.event.v1.EventTrailService/ListTrail", &[], &["*"]),
    access("/hansang.event.v1.LogLossService/ListLogLosses", &[], &["operator"]),
    access("/hansang.event.v1.ParkedEvents/List", &[], &["operator"]),
];

const fn access(
    method: &'static str,
    roles: &'static [&'static str],
    callers: &'static [&'static str],
) -> Access {
    Access { method, roles, owner: false, callers, on_behalf_of: false }
}

/// The contracts of what every process serves.
pub(crate) fn api() -> &'static Api {
    let mut compiler =
        protox::Compiler::new([concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto")]).unwrap();
    let served = [
        "hansang/clock/v1/clock_service.proto",
        "hansang/event/v1/loss_service.proto",
        "hansang/event/v1/parked_service.proto",
        "hansang/event/v1/trail_service.proto",
    ];
    compiler.include_imports(true).open_files(served).unwrap();
    let descriptors = compiler.encode_file_descriptor_set().leak();
    Box::leak(Box::new(Api { descriptors, access: ACCESS }))
}

//! Any bytes, as a service could answer with them.

#![no_main]

libfuzzer_sys::fuzz_target!(|answered: (u16, &[u8])| {
    let (route, bytes) = answered;
    transcoder_testkit::fuzzing::response(route, bytes);
});

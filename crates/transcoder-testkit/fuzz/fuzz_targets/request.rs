//! Any path, query and body, as a client could send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|sent: (&str, u16, Vec<&str>, &str, &[u8])| {
    let (path, route, values, query, body) = sent;
    transcoder_testkit::fuzzing::request(path, route, &values, query, body);
});

//! Paths and queries of every form: which route they find, and what they fill.

use http::Method as Verb;
use serde_json::{Value, json};

use transcoder::{Input, Miss, Router};
use transcoder_testkit::{ORACLE, ROUTES, set};

/// What a request becomes: the method's name and the message.
fn sent(verb: &Verb, path: &str, body: &str) -> Result<(&'static str, Value), String> {
    let router = Router::new(ROUTES).expect("no conflicts");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (route, path) = router.find(verb, path).map_err(|miss| format!("{miss:?}"))?;
    let content_type = "text/plain";
    let input = Input { path: &path, query, body: body.as_bytes(), content_type };
    let bytes = (route.request)(&input)
        .map_err(|error| error.to_string().trim_start_matches("INVALID_FIELD: ").to_owned())?;
    let name = route.method.rsplit('/').next().expect("a name");
    Ok((name, set(&ORACLE.decode(route, &bytes))))
}

fn get(path: &str) -> Result<(&'static str, Value), String> {
    sent(&Verb::GET, path, "")
}

#[test]
fn templates_of_all_forms_are_found() {
    let book = |name: &str| Ok(("GetBook", json!({"name": name})));
    assert_eq!(get("/v1/shelves/s1/books/b1"), book("shelves/s1/books/b1"));
    assert_eq!(get("/v1/books/b1"), book("b1"));
    assert_eq!(get("/v1/archive/a/b/c"), book("a/b/c"));
    assert_eq!(get("/v1/archive/a"), book("a"));
    assert_eq!(get("/v1/archive"), Ok(("GetBook", json!({}))));
    let shelf = json!({"filter": {"parent": "shelves/s1"}});
    assert_eq!(get("/v1/shelves/s1/books"), Ok(("ListBooks", shelf)));
    assert_eq!(get("/v1/x/catalogue"), Ok(("ListBooks", json!({}))));
    assert_eq!(get("/v1/x/catalogue/y/z"), Ok(("ListBooks", json!({}))));
    let unknown = Err(format!("{:?}", Miss::NotFound));
    for path in
        ["/v1", "/v1/", "/v1/shelves//books/b1", "/v1/books/", "/v1/shelves/s1", "/v2/kinds"]
    {
        assert_eq!(get(path), unknown, "{path}");
    }
}

#[test]
fn custom_verbs_come_after_any_path() {
    let lend = |path| sent(&Verb::POST, path, "");
    assert_eq!(lend("/v1/archive/a/b:lend"), Ok(("LendBook", json!({"name": "a/b"}))));
    assert_eq!(lend("/v1/archive/a:b:lend"), Ok(("LendBook", json!({"name": "a:b"}))));
    let miss = Err(format!("{:?}", Miss::NotAllowed("GET, HEAD, OPTIONS".into())));
    assert_eq!(lend("/v1/archive/a/b:burn"), miss);
    assert_eq!(get("/v1/archive/a/b:burn"), Ok(("GetBook", json!({"name": "a/b:burn"}))));
    let tag = sent(&Verb::POST, "/v1/books/b%3Atag:tag?replace=true", r#"["a", "b"]"#);
    let tagged = json!({"name": "b:tag", "tags": ["a", "b"], "replace": true});
    assert_eq!(tag, Ok(("TagBook", tagged)));
}

#[test]
fn a_path_is_decoded_but_for_the_slashes_within_segments() {
    let name = |path: &str| get(path).map(|(_, book)| book["name"].clone());
    assert_eq!(name("/v1/books/a%2Fb%20%25c"), Ok("a/b %c".into()));
    assert_eq!(name("/v1/archive/a%2Fb/c%2fd%20%252F"), Ok("a%2Fb/c%2fd %2F".into()));
    assert_eq!(name("/v1/shelves/%EC%B0%A8/books/b"), Ok("shelves/차/books/b".into()));
    assert_eq!(name("/v1/books/100%"), Ok("100%".into()));
    assert_eq!(name("/v1/archive/%/%2"), Ok("%/%2".into()));
    for refused in ["/v1/books/%FF", "/v1/archive/a/%FF", "/v1/archive/%2F%FF"] {
        assert_eq!(name(refused), Err("name: must be UTF-8".into()));
    }
    let nul = Err("name: must not contain U+0000".into());
    assert_eq!(name("/v1/books/a%00b"), nul);
}

#[test]
fn a_path_chooses_a_oneofs_member() {
    let lent = |path| sent(&Verb::DELETE, path, "");
    assert_eq!(lent("/v1/loans/a@b"), Ok(("LendBook", json!({"email": "a@b"}))));
    assert_eq!(lent("/v1/loans/7:card"), Ok(("LendBook", json!({"card": "7"}))));
    assert_eq!(lent("/v1/loans/x:card"), Err("card: must be a 64-bit integer".into()));
    let both = lent("/v1/loans/a@b?card=7").expect_err("two members");
    assert_eq!(both, "email: must not be given together with another of its oneof");
}

#[test]
fn queries_hold_what_messages_hold() {
    let cases = [
        (
            "filter.shade=DARK&filter.any_shade=LIGHT&filter.anyShade=-2&filter.anyShade=77",
            json!({"filter": {"shade": "DARK", "anyShade": ["LIGHT", "DARK", 77]}}),
        ),
        ("filter.not.not.shade=1", json!({"filter": {"not": {"not": {"shade": "LIGHT"}}}})),
        (
            "filter.since=2026-01-02T03:04:05%2B09:00",
            json!({"filter": {"since": "2026-01-01T18:04:05Z"}}),
        ),
        ("filter.authorNumber=7", json!({"filter": {"authorNumber": "7"}})),
        (
            "filter.like.authorName=a&filter.like.shade=LIGHT",
            json!({"filter": {"like": {"authorName": "a", "shade": "LIGHT"}}}),
        ),
        ("readMask=name,author.displayName", json!({"readMask": "name,author.displayName"})),
        (
            "maxAge=1.5s&least=-9&price=1.5&price=NaN&price=-Infinity",
            json!({"maxAge": "1.500s", "least": "-9", "price": [1.5, "NaN", "-Infinity"]}),
        ),
        (
            "cursor=-_8&lent=false&flag=true&flag=false",
            json!({"cursor": "+/8=", "lent": false, "flag": [true, false]}),
        ),
    ];
    for (query, message) in cases {
        let found = get(&format!("/v1/x/catalogue?{query}"));
        assert_eq!(found, Ok(("ListBooks", message)), "{query}");
    }
    let whole = json!({"stringField": "a", "chosenPart": {"type": "t"}, "otherName": "r"});
    let found = get("/v1/kinds?stringField=a&chosenPart.type=t&otherName=r");
    assert_eq!(found, Ok(("EchoKinds", whole)));
}

#[test]
fn queries_that_cannot_be_taken_are_refused_with_their_key() {
    let deep = format!("{}shade", "not.".repeat(40));
    let cases = [
        ("labels=a", "labels", "unknown query parameter"),
        ("labels.a=b", "labels.a", "unknown query parameter"),
        ("extra=1", "extra", "unknown query parameter"),
        ("books=a", "books", "is a message: name one of its fields"),
        ("books.title=a", "books.title", "unknown query parameter"),
        ("filter=a", "filter", "is a message: name one of its fields"),
        ("filter.shade.x=1", "filter.shade.x", "unknown query parameter"),
        ("filter.colour=red", "filter.colour", "unknown query parameter"),
        ("filter.shade=LIGHT&filter.shade=DARK", "filter.shade", "given more than once"),
        ("maxAge=1s&max_age=2s", "max_age", "given more than once"),
        (
            "filter.authorName=a&filter.authorNumber=1",
            "filter.authorNumber",
            "must not be given together with another of its oneof",
        ),
        ("filter.shade=BLUE", "filter.shade", "unknown value"),
        ("lent=yes", "lent", "must be true or false"),
        ("price=cheap", "price", "must be a number"),
        ("cursor=*", "cursor", "must be base64"),
        ("maxAge=1h", "maxAge", "must be a duration such as 1.5s"),
        ("filter.since=today", "filter.since", "must be a time such as 2026-01-02T03:04:05Z"),
        ("filter.authorName=%00", "filter.authorName", "must not contain U+0000"),
        ("=1", "", "unknown query parameter"),
        ("filter.=1", "filter.", "unknown query parameter"),
        (&format!("filter.{deep}=1"), &format!("filter.{deep}"), "is too deep"),
    ];
    for (query, key, why) in cases {
        let refused = get(&format!("/v1/x/catalogue?{query}")).expect_err(query);
        assert_eq!(refused, format!("{key}: {why}"), "{query}");
    }
    let both = get("/v1/shelves/s1/books?filter.parent=shelves/s2").expect_err("two parents");
    assert_eq!(both, "filter.parent: must be as in the path, or absent");
    let same = get("/v1/shelves/s1/books?filter.parent=shelves/s1").expect("the same twice");
    assert_eq!(same.1, json!({"filter": {"parent": "shelves/s1"}}));
}

#[test]
fn a_field_of_the_request_can_be_the_body() {
    let put = |path, body| sent(&Verb::PUT, path, body);
    let book = json!({"book": {"name": "b1", "title": "t"}, "allowMissing": true});
    let found = put("/v1/books/b1?allowMissing=true", r#"{"title": "t"}"#);
    assert_eq!(found, Ok(("UpdateBook", book)));
    for (path, body, why) in [
        ("/v1/books/b1?book.title=t", "{}", "book.title: unknown query parameter"),
        ("/v1/books/b1", r#"{"name": "b2"}"#, "book.name: must be as in the path, or absent"),
        ("/v1/books/b1", r#"{"author": {"age": 7}}"#, "author.age: unknown field"),
        (
            "/v1/books/b1",
            r#"{"labels": {"a": 7}}"#,
            "labels.a: invalid type: integer `7`, expected a string or null",
        ),
        ("/v1/books/b1", r#"{"title": "a\u0000"}"#, "title: must not contain U+0000"),
        ("/v1/books/b1", r#"{"tags": ["", "a\u0000"]}"#, "tags[1]: must not contain U+0000"),
        ("/v1/books/b1", r#"{"labels": {"a\u0000": "b"}}"#, "labels.a\0: must not contain U+0000"),
    ] {
        assert_eq!(put(path, body), Err(why.into()), "{body}");
    }
    let cover = put("/v1/books/b1/cover?width=9", "\u{89}PNG").expect("bytes");
    let file = json!({"contentType": "text/plain", "data": "wolQTkc="});
    assert_eq!(cover.1, json!({"name": "b1", "file": file, "width": 9}));
    let print = sent(&Verb::POST, "/v1/print", "hello").expect("bytes");
    assert_eq!(print.1, json!({"contentType": "text/plain", "data": "aGVsbG8="}));
}

#[test]
fn a_patch_says_which_fields_by_what_is_in_its_body() {
    let patch = |query: &str, body| {
        let path = format!("/v1/shelves/s/books/b{query}");
        let (_, request) = sent(&Verb::PATCH, &path, body).expect("fits");
        request.get("updateMask").map(|mask| mask.as_str().expect("a mask").to_owned())
    };
    let paths = |body| {
        let mask = patch("", body).expect("a mask");
        let mut paths: Vec<_> = mask.split(',').map(str::to_owned).collect();
        paths.sort();
        paths.join(",")
    };
    assert_eq!(paths(r#"{"title": "t"}"#), "title");
    assert_eq!(paths(r#"{"title": null, "tags": [], "labels": {"a": "b"}}"#), "labels,tags,title");
    assert_eq!(
        paths(r#"{"author": {"display_name": "n", "motto": "m"}}"#),
        "author.displayName,author.motto"
    );
    assert_eq!(
        paths(r#"{"author": {}, "publishTime": "2026-01-02T03:04:05Z"}"#),
        "author,publishTime"
    );
    assert_eq!(paths(r#"{"name": "shelves/s/books/b", "title": "t"}"#), "title", "the path's part");
    assert_eq!(
        patch("?updateMask=title,author.displayName", "{}").as_deref(),
        Some("title,author.displayName")
    );
    assert_eq!(patch("", ""), None);
    let put = sent(&Verb::PUT, "/v1/books/b", r#"{"title": "t"}"#).expect("fits");
    assert_eq!(put.1.get("updateMask"), None, "a PUT replaces");
}

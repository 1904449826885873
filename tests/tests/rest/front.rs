//! What is answered to requests that are not as they should be: code and text, as upstream's server answers them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::start;
use mainstay_tests::Cluster;
use mainstay_tests::apiserver::Apiserver;

/// Head of a request, its body, and the code and text of the answer.
type Case = (&'static str, &'static str, u16, &'static str);

const NOT_FOUND: &str = "the server could not find the requested resource";
const NOT_ALLOWED: &str = "the server does not allow this method on the requested resource";
const PAGE: &str = "404 page not found\n";

/// Answers that are a Status: how its message begins. Texts that begin with `=` are whole bodies.
const CASES: &[Case] = &[
    // Nothing is there.
    ("GET /nowhere", "", 404, "=404 page not found\n"),
    ("POST /nowhere", "{}", 404, "=404 page not found\n"),
    ("GET /apis/example.com", "", 404, "=404 page not found\n"),
    ("GET /apis/example.com/v1", "", 404, "=404 page not found\n"),
    (
        "GET /apis/example.com/v1/gnomes",
        "",
        404,
        "=404 page not found\n",
    ),
    ("GET /api/v1/gnomes", "", 404, NOT_FOUND),
    ("GET /api/v2", "", 404, NOT_FOUND),
    ("GET /api/v2/pods", "", 404, NOT_FOUND),
    ("GET /apis/apps/v9", "", 404, NOT_FOUND),
    ("GET /apis/apps/v9/deployments", "", 404, NOT_FOUND),
    ("GET /apis/apps/v1/gnomes", "", 404, NOT_FOUND),
    (
        "GET /api/v1/namespaces/default/pods/a/gnome",
        "",
        404,
        NOT_FOUND,
    ),
    ("GET /api/v1/pods/a", "", 404, NOT_FOUND),
    (
        "GET /api/v1/namespaces/default/pods/a%2Fb",
        "",
        404,
        NOT_FOUND,
    ),
    (
        "GET /api/v1/namespaces/default/configmaps/none",
        "",
        404,
        "configmaps \"none\" not found",
    ),
    // It is there, but not so.
    ("POST /api/v1/pods", "{}", 405, NOT_ALLOWED),
    (
        "PUT /api/v1/namespaces/default/pods",
        "{}",
        405,
        NOT_ALLOWED,
    ),
    ("DELETE /api/v1/namespaces", "", 405, NOT_ALLOWED),
    ("OPTIONS /api/v1/pods", "", 405, NOT_ALLOWED),
    ("POST /api/v1/watch/pods", "{}", 405, NOT_ALLOWED),
    (
        "GET /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "",
        405,
        NOT_ALLOWED,
    ),
    ("POST /api/v1", "{}", 405, NOT_ALLOWED),
    ("POST /version", "{}", 405, NOT_ALLOWED),
    // Escapes that are none.
    ("GET /api/v1/%zz", "", 400, "=400 Bad Request"),
    (
        "GET /api/v1/namespaces/default/pods/a%25b",
        "",
        400,
        "Name parameter invalid: \"a%b\": may not contain '%'",
    ),
    // Forms.
    (
        "GET /api/v1/namespaces\nAccept: text/html",
        "",
        406,
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    ),
    (
        "POST /api/v1/namespaces\nContent-Type: text/plain",
        "x",
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    ),
    (
        "PATCH /api/v1/namespaces/default\nContent-Type: text/plain",
        "x",
        415,
        "415: Unsupported Media Type",
    ),
    // Options.
    (
        "GET /api/v1/pods?limit=abc",
        "",
        400,
        "strconv.ParseInt: parsing \"abc\": invalid syntax",
    ),
    (
        "GET /api/v1/pods?limit=99999999999999999999",
        "",
        400,
        "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
    ),
    (
        "GET /api/v1/pods?timeoutSeconds=abc",
        "",
        400,
        "strconv.ParseInt: parsing \"abc\": invalid syntax",
    ),
    (
        "GET /api/v1/pods?timeout=abc",
        "",
        400,
        "invalid timeout specified in the request URL - time: invalid duration \"abc\"",
    ),
    (
        "GET /api/v1/pods?resourceVersion=abc",
        "",
        400,
        "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
    ),
    (
        "GET /api/v1/pods?watch=true&resourceVersion=abc",
        "",
        500,
        "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
    ),
    (
        "GET /api/v1/namespaces/default?resourceVersion=abc",
        "",
        500,
        "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
    ),
    (
        "GET /api/v1/pods?labelSelector=a%20b",
        "",
        400,
        "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    ),
    (
        "GET /api/v1/pods?fieldSelector=spec.gnome%3Da",
        "",
        400,
        "field label not supported: spec.gnome",
    ),
    (
        "GET /api/v1/pods?fieldSelector=abc",
        "",
        400,
        "invalid selector: 'abc'; can't understand 'abc'",
    ),
    (
        "GET /api/v1/pods?resourceVersionMatch=Exact",
        "",
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
    ),
    (
        "GET /api/v1/pods?continue=abc",
        "",
        400,
        "invalid continue token: continue key is not valid: ",
    ),
    // Bodies.
    (
        "POST /api/v1/namespaces\nContent-Type: application/json",
        "{",
        400,
        "the object provided is unrecognized (must be of type Namespace): couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
    ),
    (
        "POST /api/v1/namespaces\nContent-Type: application/json",
        "{\"kind\":\"Gnome\",\"apiVersion\":\"v1\"}",
        400,
        "Gnome in version \"v1\" cannot be handled as a Namespace: no kind \"Gnome\" is registered for version \"v1\" in scheme",
    ),
];

#[tokio::test]
async fn requests_that_are_wrong_are_refused_in_upstreams_words() {
    let (_cluster, _server, rest) = start().await;
    let mut wrong = Vec::new();
    for (head, body, code, text) in CASES {
        let answer = rest.call(head, body).await;
        let said = match text.strip_prefix('=') {
            Some(_) => answer.body.clone(),
            None => {
                let status: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                status["message"]
                    .as_str()
                    .unwrap_or(&answer.body)
                    .to_owned()
            }
        };
        let right = match text.strip_prefix('=') {
            Some(whole) => said == whole,
            None => said.starts_with(text),
        };
        if answer.status != *code || !right {
            wrong.push(format!(
                "{head}\n  expected {code} {text}\n  got {} {said}",
                answer.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let answer = rest.call("GET /nowhere", "").await;
    assert_eq!(answer.body, PAGE);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));

    // Too large, and too deep: refused before much is done with it.
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    let answer = rest
        .call(
            "POST /api/v1/namespaces\nContent-Type: application/json",
            large,
        )
        .await;
    assert_eq!(answer.status, 413);
    assert!(
        answer
            .body
            .contains("Request entity too large: limit is 3145728"),
        "{}",
        answer.body
    );
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let deep = open.repeat(200_000) + "1" + &close.repeat(200_000);
        for media in ["application/json", "application/yaml"] {
            let head = format!("POST /api/v1/namespaces\nContent-Type: {media}");
            assert_eq!(rest.call(&head, &deep).await.status, 400, "{media}");
        }
    }

    // The head alone: as a GET for pages, not at all for resources.
    let get = rest.call("GET /version", "").await;
    for path in ["/healthz", "/metrics", "/openapi/v2"] {
        let head = rest.call(&format!("HEAD {path}"), "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert!(
            head.header("content-length")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 0,
            "{path}"
        );
    }
    assert_eq!(get.status, 200);
    let head = rest.call("HEAD /api/v1/namespaces/default", "").await;
    assert_eq!((head.status, head.body.as_str()), (405, ""));
    assert!(
        head.header("content-length")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );

    // Kinds that will go say so, whatever is asked and whether it is found.
    for (path, code) in [
        ("endpoints", 200),
        ("endpoints/kubernetes", 404),
        ("endpoints/none", 404),
    ] {
        let answer = rest
            .call(&format!("GET /api/v1/namespaces/kube-public/{path}"), "")
            .await;
        assert_eq!(answer.status, code, "{path}");
        let warning =
            "299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"";
        assert_eq!(
            answer.headers("warning").collect::<Vec<_>>(),
            [warning],
            "{path}"
        );
    }
}

/// Clients that say nothing, or never stop saying something, hold no place that others need.
#[tokio::test]
async fn full_is_said_at_once_and_slow_clients_hold_nobody_up() {
    let cluster = Cluster::start(1).await;
    let flags = ["--max-mutating-requests-inflight=1", "--request-timeout=2s"];
    let server = Apiserver::start_with(&cluster, None, &flags).await;
    let rest = server.rest();
    // The only place is taken by a body that does not come.
    let mut slow = rest.connect().await.unwrap();
    let head = "POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    let name = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } });
    let mut refused = None;
    let done = async {
        loop {
            let answer = rest.call("POST /api/v1/namespaces", name.to_string()).await;
            match answer.status {
                429 => refused = Some(answer),
                // Before the slow one came, or after it went.
                201 | 409 if refused.is_some() => break,
                201 | 409 => {}
                other => panic!("{other}: {}", answer.body),
            }
        }
    };
    timeout(Duration::from_secs(30), done).await.unwrap();
    let refused = refused.unwrap();
    assert_eq!(refused.body, "Too many requests, please try again later.\n");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The slow one was told that its time is over.
    let mut answer = vec![0; 4096];
    let read = timeout(Duration::from_secs(10), slow.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

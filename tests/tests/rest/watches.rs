//! Watches over WebSocket and by their old paths.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::start;
use mainstay_tests::rest::Rest;

const PATIENCE: Duration = Duration::from_secs(15);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

/// A watch over WebSocket, with the protocol that was agreed on.
async fn watch(rest: &Rest, path: &str, protocols: &str) -> Result<(Socket, String), Error> {
    let mut request = format!("wss://localhost{path}").into_client_request()?;
    if !protocols.is_empty() {
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
    }
    let stream = rest.connect().await?;
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
    let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
    Ok((socket, protocol.unwrap_or_default()))
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

/// Type and name of the next event, which is a message of its own.
async fn event(socket: &mut Socket) -> String {
    let message = next(socket).await;
    let Message::Text(text) = &message else {
        panic!("{message:?}");
    };
    let event: Value = serde_json::from_str(text).unwrap();
    let name = event["object"]["metadata"]["name"]
        .as_str()
        .unwrap_or_default();
    format!("{} {name}", event["type"].as_str().unwrap())
}

async fn create(rest: &Rest, name: &str) {
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    let (code, answer) = rest.json(&format!("POST {CONFIG_MAPS}"), &object).await;
    assert_eq!(code, 201, "{answer}");
}

#[tokio::test]
async fn a_watch_over_websocket_has_a_message_for_each_event() {
    let (_cluster, mut server, rest) = start().await;
    create(&rest, "a").await;
    create(&rest, "b").await;
    let path = format!("{CONFIG_MAPS}?watch=true");
    let (mut socket, protocol) = watch(&rest, &path, "").await.unwrap();
    assert_eq!(protocol, "");
    assert_eq!(event(&mut socket).await, "ADDED a");
    assert_eq!(event(&mut socket).await, "ADDED b");
    create(&rest, "c").await;
    assert_eq!(event(&mut socket).await, "ADDED c");

    // What the client says is ignored, but for pings.
    socket.send(Message::Text("hello".into())).await.unwrap();
    socket.send(Message::Ping("ping".into())).await.unwrap();
    let pong = next(&mut socket).await;
    assert_eq!(pong, Message::Pong("ping".into()));
    let (code, _) = rest
        .json(&format!("DELETE {CONFIG_MAPS}/a"), &Value::Null)
        .await;
    assert_eq!(code, 200);
    assert_eq!(event(&mut socket).await, "DELETED a");

    // The client's end is answered.
    socket.close(None).await.unwrap();
    let last = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(
        matches!(last, None | Some(Ok(Message::Close(_)) | Err(_))),
        "{last:?}"
    );

    // The watch's own end is a normal closure.
    let path =
        format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone");
    let (mut socket, protocol) = watch(&rest, &path, "v4.channel.k8s.io, other")
        .await
        .unwrap();
    assert_eq!(protocol, "v4.channel.k8s.io");
    match next(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Normal),
        other => panic!("{other:?}"),
    }

    // Browsers hide their token among the protocols.
    let (code, token) = rest
        .json(
            "POST /api/v1/namespaces/default/serviceaccounts",
            &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "w" } }),
        )
        .await;
    assert_eq!(code, 201, "{token}");
    let asked =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let path = "POST /api/v1/namespaces/default/serviceaccounts/w/token";
    let (code, token) = rest.json(path, &asked).await;
    assert_eq!(code, 201, "{token}");
    let token = token["status"]["token"].as_str().unwrap();
    use base64::Engine as _;
    let hidden = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token);
    let protocols = format!("base64url.bearer.authorization.k8s.io.{hidden}, mine");
    let nobody = rest.without_certificate();
    let path = format!("{CONFIG_MAPS}?watch=true");
    match watch(&nobody, &path, &protocols).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("{:?}", other.map(|(_, protocol)| protocol)),
    }
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "w" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "w", "namespace": "default" }],
    });
    let bindings = "POST /apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let (code, answer) = rest.json(bindings, &binding).await;
    assert_eq!(code, 201, "{answer}");
    let mut socket = mainstay_tests::wait_until("the token may watch", PATIENCE, async || {
        let (socket, protocol) = watch(&nobody, &path, &protocols).await.ok()?;
        assert_eq!(protocol, "mine");
        Some(socket)
    })
    .await;
    assert_eq!(event(&mut socket).await, "ADDED b");

    // A server that ends does not wait for watchers.
    let ended = timeout(PATIENCE, server.terminate()).await;
    assert!(ended.unwrap());
}

/// The first lines of a watch that ends by itself.
async fn lines(rest: &Rest, path: &str) -> Vec<String> {
    let answer = rest.call(&format!("GET {path}"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let object = &event["object"]["metadata"];
        let namespace = object["namespace"].as_str().unwrap_or_default();
        format!(
            "{} {namespace}/{}",
            event["type"].as_str().unwrap(),
            object["name"].as_str().unwrap()
        )
    };
    answer.body.lines().map(event).collect()
}

#[tokio::test]
async fn the_old_paths_watch_collections_and_single_objects() {
    let (_cluster, _server, rest) = start().await;
    create(&rest, "a").await;
    create(&rest, "b").await;
    let both = ["ADDED default/a", "ADDED default/b"];
    let cases: [(&str, &[&str]); 6] = [
        ("/api/v1/watch/namespaces/default/configmaps", &both),
        (
            "/api/v1/watch/namespaces/default/configmaps/b",
            &["ADDED default/b"],
        ),
        ("/api/v1/watch/namespaces/default/configmaps/none", &[]),
        (
            "/api/v1/watch/namespaces/kube-public",
            &["ADDED /kube-public"],
        ),
        (
            "/apis/scheduling.k8s.io/v1/watch/priorityclasses/system-node-critical",
            &["ADDED /system-node-critical"],
        ),
        ("/apis/apps/v1/watch/deployments", &[]),
    ];
    for (path, expected) in cases {
        assert_eq!(
            lines(&rest, &format!("{path}?timeoutSeconds=1")).await,
            expected,
            "{path}"
        );
    }
    let all = lines(&rest, "/api/v1/watch/configmaps?timeoutSeconds=1").await;
    assert!(
        both.iter().all(|event| all.iter().any(|own| own == event)),
        "{all:?}"
    );
    let refused =
        "GET /api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.name%3Db";
    let (code, answer) = rest.json(refused, &Value::Null).await;
    assert_eq!(code, 400);
    assert_eq!(
        answer["message"],
        "fieldSelector metadata.name doesn't match requested name"
    );
}

/// There was none but once a minute: whoever watched for a shorter time had nowhere to go on from.
#[tokio::test]
async fn a_last_bookmark_comes_shortly_before_the_end() {
    let (_cluster, _server, rest) = start().await;
    create(&rest, "a").await;
    let bookmarks = async |query: &str| {
        let path = format!("GET {CONFIG_MAPS}?watch=true&{query}");
        let body = rest.call(&path, "").await.body;
        let events = body.lines().map(|line| serde_json::from_str(line).unwrap());
        let of_type = events.filter(|event: &Value| event["type"] == "BOOKMARK");
        let versions: Vec<u64> = of_type
            .map(|event| {
                event["object"]["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        versions
    };
    let written = rest
        .json(&format!("GET {CONFIG_MAPS}/a"), &Value::Null)
        .await
        .1;
    let written = written["metadata"]["resourceVersion"].as_str().unwrap();
    let written: u64 = written.parse().unwrap();
    let told = bookmarks("allowWatchBookmarks=true&timeoutSeconds=3").await;
    assert!(
        told.len() == 1 && told[0] >= written,
        "{told:?}, written at {written}"
    );
    for query in [
        "timeoutSeconds=3",
        "allowWatchBookmarks=true&timeoutSeconds=1",
    ] {
        let told = bookmarks(query).await;
        assert!(told.is_empty(), "{query}: {told:?}");
    }
}

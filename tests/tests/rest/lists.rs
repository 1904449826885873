//! Lists in pages whose history goes away, and forms that a list has or has not.

use mainstay_tests::masters::compact;
use mainstay_tests::rest::Rest;
use serde_json::{Value, json};

use super::start;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn create(rest: &Rest, name: &str) {
    let object = json!({ "metadata": { "name": name } });
    let (code, made) = rest.json(&format!("POST {CONFIG_MAPS}"), &object).await;
    assert_eq!(code, 201, "{made}");
}

/// A page, and the token for the next.
async fn page(rest: &Rest, rest_of_query: &str) -> (u16, Value, String) {
    let path = format!("GET {CONFIG_MAPS}?limit=2{rest_of_query}");
    let (code, page) = rest.json(&path, &Value::Null).await;
    let token = page["metadata"]["continue"].as_str().unwrap_or_default();
    let token = token.to_owned();
    (code, page, token)
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// There was no token in the refusal, and clients began anew.
#[tokio::test]
async fn a_list_whose_history_is_gone_goes_on_at_the_newest_state() {
    let (cluster, mut server, rest) = start().await;
    for name in ["a", "b", "c", "d", "e"] {
        create(&rest, name).await;
    }
    let (_, first, token) = page(&rest, "").await;
    assert_eq!(names(&first), ["a", "b"]);
    create(&rest, "bb").await;
    // A server that runs may remember what the store has dropped.
    server.kill();
    compact(&cluster).await;
    server.run().await;

    let (code, gone, token) = page(&rest, &format!("&continue={token}")).await;
    assert_eq!(code, 410, "{gone}");
    let expected = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": { "continue": token },
        "status": "Failure",
        "message": "The provided continue parameter is too old to display a consistent list result. You can start a new \
            list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
            the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
            modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        "reason": "Expired",
        "code": 410,
    });
    assert_eq!(gone, expected);
    let (code, second, token) = page(&rest, &format!("&continue={token}")).await;
    assert_eq!((code, names(&second)), (200, vec!["bb", "c"]));
    assert_ne!(
        second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"],
        "it is a list of now"
    );
    // What follows is of the moment of the second page.
    create(&rest, "dd").await;
    let (_, third, token) = page(&rest, &format!("&continue={token}")).await;
    assert_eq!((names(&third), token.as_str()), (vec!["d", "e"], ""));
    assert_eq!(
        third["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );

    // Without a token there is nothing to go on with.
    let at = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("&resourceVersion={at}&resourceVersionMatch=Exact");
    let (code, gone, token) = page(&rest, &exact).await;
    assert_eq!((code, token.as_str()), (410, ""), "{gone}");
    assert_eq!(
        gone["message"],
        "The resourceVersion for the provided list is too old."
    );
}

#[tokio::test]
async fn metadata_of_an_object_is_no_list_and_that_of_a_list_no_object() {
    let (_cluster, _server, rest) = start().await;
    create(&rest, "a").await;
    let ask = async |path: &str, kind: &str| {
        let head = format!("{path}\nAccept: application/json;as={kind};g=meta.k8s.io;v=v1");
        let (code, answer) = rest.json(&head, &Value::Null).await;
        let said = [&answer["kind"], &answer["message"]]
            .map(|value| value.as_str().unwrap_or_default().to_owned());
        (code, said.join(" "))
    };
    let (one, all) = (format!("GET {CONFIG_MAPS}/a"), format!("GET {CONFIG_MAPS}"));
    let (form, list) = ("PartialObjectMetadata", "PartialObjectMetadataList");
    assert_eq!(ask(&one, form).await, (200, format!("{form} ")));
    assert_eq!(ask(&all, list).await, (200, format!("{list} ")));
    let refused = format!(
        "Status you requested {list}, but the requested object is not a list (*core.ConfigMap)"
    );
    assert_eq!(ask(&one, list).await, (406, refused));
    let refused = format!(
        "Status you requested {form}, but the requested object is a list (*core.ConfigMapList)"
    );
    assert_eq!(ask(&all, form).await, (406, refused));
    let refused = "Status you requested PartialObjectMetadata, but the requested object is a list (*rbac.RoleList)";
    let roles = "GET /apis/rbac.authorization.k8s.io/v1/roles";
    assert_eq!(ask(roles, form).await, (406, refused.to_owned()));
}

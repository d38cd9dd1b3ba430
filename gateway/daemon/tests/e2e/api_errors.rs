//! Every refusal of the API has its code, its status and a problem document, and disturbs nothing else.

use crate::harness::World;
use hyper::Method;
use serde_json::json;

/// Method, path, key and body of a request; status and code of its answer.
type Case<'a> = (Method, &'a str, Option<&'a str>, &'a str, u16, &'a str);

#[tokio::test]
async fn every_refusal_is_a_problem_with_its_code_and_nothing_is_lost_meanwhile() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("http", "body_limit = \"4KiB\"")
            .client("slow", "http://127.0.0.1:9/none")
            .line("client.slow", "rate = 1")
            .line("client.slow", "burst = 1")
    })
    .await;
    let api = world.gateway.api.clone();
    let too_long = json!({"to": "491700000001", "text": "x".repeat(153 * 10 + 1)}).to_string();
    let too_large = json!({"to": "491700000001", "text": "x".repeat(5000)}).to_string();

    let acme = Some("acme-key");
    let submit = "/v1/messages";
    let table: &[Case] = &[
        (Method::POST, submit, acme, "{\"to\":", 400, "invalid_json"),
        (Method::POST, submit, acme, "", 400, "invalid_json"),
        (Method::POST, submit, acme, "[1,2]", 400, "invalid_json"),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":491700000001,"text":"a"}"#,
            400,
            "invalid_json",
        ),
        (
            Method::POST,
            submit,
            None,
            r#"{"to":"491700000001","text":"a"}"#,
            401,
            "unauthorized",
        ),
        (
            Method::POST,
            submit,
            Some("wrong"),
            r#"{"to":"491700000001","text":"a"}"#,
            401,
            "unauthorized",
        ),
        (
            Method::GET,
            "/v1/messages/01980000-0000-7000-8000-000000000000",
            acme,
            "",
            404,
            "not_found",
        ),
        (Method::GET, "/v1/messages/nonsense", acme, "", 404, "not_found"),
        (Method::GET, "/v2/anything", acme, "", 404, "not_found"),
        (Method::PUT, submit, acme, "{}", 405, "method_not_allowed"),
        (
            Method::DELETE,
            "/v1/messages/nonsense",
            acme,
            "",
            404,
            "not_found",
        ),
        (Method::POST, submit, acme, &too_large, 413, "body_too_large"),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":"491700000001","txt":"a"}"#,
            422,
            "unknown_field",
        ),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":"491700000001"}"#,
            422,
            "invalid_field",
        ),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":"491700000001","text":"a","class":"fast"}"#,
            422,
            "invalid_field",
        ),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":"call me","text":"a"}"#,
            422,
            "invalid_number",
        ),
        (
            Method::POST,
            submit,
            acme,
            r#"{"to":"1","text":"a"}"#,
            422,
            "invalid_number",
        ),
        (Method::POST, submit, acme, &too_long, 422, "text_too_long"),
    ];
    let mut good = Vec::new();
    for (method, path, key, body, status, code) in table {
        let answer = api.request(method.clone(), path, *key, body).await;
        let case = format!("{method} {path} {body:.80}: {}", answer.text());
        assert_eq!(answer.status, *status, "{case}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{case}"
        );
        let problem = answer.json();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&json!(code), &json!(status)),
            "{case}"
        );
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {case}"
            );
        }
        if *status == 401 {
            assert!(answer.header("www-authenticate").is_some(), "{case}");
        }
        good.push(api.text("491700000001", &format!("good {}", good.len())).await);
    }

    let slow = api.with_key("slow-key");
    let body = json!({"to": "491700000001", "text": "fast"}).to_string();
    let answers = [
        slow.post(body.clone()).await.unwrap(),
        slow.post(body).await.unwrap(),
    ];
    assert_eq!(answers[0].status, 202, "{}", answers[0].text());
    assert_eq!(
        (answers[1].status, answers[1].json()["code"].clone()),
        (429, json!("rate_limited"))
    );
    assert_eq!(answers[1].header("retry-after"), Some("1"));

    for id in &good {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    let metrics = world.gateway.metrics().await;
    for (client, code, count) in [
        ("-", "unauthorized", 2.0),
        ("acme", "invalid_json", 4.0),
        ("slow", "rate_limited", 1.0),
    ] {
        let refused = metrics.sum("smsgw_http_refused_total", &[("client", client), ("code", code)]);
        assert!((refused - count).abs() < 0.5, "{code}: {refused}");
    }
    world.gateway.stop().await;
    // The slow client's message, and the good ones.
    assert_eq!(world.carrier.submits().len(), good.len() + 1);
}

#[tokio::test]
async fn a_destination_without_a_route_is_refused_before_the_accept() {
    let mut world = World::start(&[], |settings| {
        settings.without_routes().route_mt(&["49", "43"], &["alpha"])
    })
    .await;
    let api = &world.gateway.api;
    let answer = api
        .post(json!({"to": "33612345678", "text": "a"}).to_string())
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status,
            answer.json()["code"].clone(),
            answer.json()["field"].clone()
        ),
        (422, json!("no_route"), json!("to"))
    );
    let id = api.text("436641234567", "Austria").await;
    world.receiver.report(&id).await;
    world.gateway.stop().await;
    assert_eq!(world.carrier.submits().len(), 1);
}

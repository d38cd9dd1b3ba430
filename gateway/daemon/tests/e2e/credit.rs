//! Prepaid accounts of the real gateway: killed in between, no money is lost or made, none is spent that is not there, and
//! numbers have no gap.

use crate::harness::{Gateway, Process, World, eventually, free_port};
use hyper::Method;
use serde_json::{Value, json};

/// In millionths.
const PRICE: i64 = 100_000;
const CLIENTS: [(&str, &str); 3] = [("acme", "sent"), ("bill", "delivered"), ("carl", "accept")];

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

/// Millionths of a decimal number.
fn micro(text: &Value) -> i64 {
    let text = text.as_str().unwrap();
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    sign * (whole.parse::<i64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap())
}

async fn balance(world: &World, client: &str) -> (i64, i64) {
    let api = world.gateway.api.with_key(&format!("{client}-key"));
    let key = format!("{client}-key");
    let answer = api.request(Method::GET, "/v1/balance", Some(&key), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(
        (&body["currency"], &body["overdraft"]),
        (&json!("EUR"), &json!("0"))
    );
    (micro(&body["balance"]), micro(&body["reserved"]))
}

/// What is sent: phones by their last digits, and texts of one or two parts.
fn message(n: usize) -> Value {
    // The carrier refuses 99 and cannot deliver 77.
    let suffix = ["01", "99", "77", "02", "03"][n % 5];
    let text = if n.is_multiple_of(3) {
        "x".repeat(200)
    } else {
        "short".to_owned()
    };
    json!({"from": "12345", "to": format!("4917000{n:04}{suffix}"), "text": text})
}

/// Parts that are due of a message by its account's policy.
fn due(policy: &str, n: usize) -> i64 {
    let parts = if n.is_multiple_of(3) { 2 } else { 1 };
    match (policy, n % 5) {
        ("sent", 1) | ("delivered", 1 | 2) => 0,
        _ => parts,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_the_balance_is_what_was_paid_less_what_is_due_and_never_below_its_floor() {
    let port = free_port();
    let admin = format!("127.0.0.1:{port}");
    let options = [
        "--receipt-delay",
        "30",
        "--answer-delay",
        "10",
        "--reject",
        "99=0x0b",
        "--receipt-suffix",
        "77=UNDELIV",
    ];
    let mut world = World::start(&options, |settings| {
        let mut settings = settings
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("limits", "parked_receipts = \"2s\"")
            .line("client.acme", "number = \"client\"")
            .line("[price]", "price = \"0.1\"")
            .line("[price]", "currency = \"EUR\"");
        for (client, policy) in CLIENTS {
            let section = format!("client.{client}.credit");
            settings = settings
                .line(
                    &format!("client.{client}"),
                    &format!("api_key = \"{client}-key\""),
                )
                .line(&section, "kind = \"prepaid\"")
                .line(&section, "low_balance = \"0.5\"")
                .line(&section, &format!("charge = \"{policy}\""));
        }
        settings
    })
    .await;
    let key = "acme-key";
    let answer = world
        .gateway
        .api
        .request(Method::POST, "/v1/messages", Some(key), &message(0).to_string())
        .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (422, &json!("insufficient_credit"))
    );

    let mut paid = 0;
    let mut accepted: Vec<(usize, usize, String)> = Vec::new();
    let mut refused = 0;
    let mut n = 0;
    for round in 0..5 {
        // Paid in while the gateway dies, and again under the same key until there is an answer.
        let words = |client| {
            let key = format!("round-{round}");
            [
                "credit",
                "top-up",
                client,
                "0.95",
                "--key",
                &key,
                "--reference",
                "invoice 7",
                "--admin",
                &admin,
            ]
            .map(str::to_owned)
        };
        let under_way: Vec<Process> = CLIENTS
            .iter()
            .map(|(client, _)| Gateway::tool(&words(client).each_ref().map(String::as_str)))
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(10 + 7 * round)).await;
        world.gateway.kill().await;
        drop(under_way);
        world.restart().await;
        for (client, _) in CLIENTS {
            let words = words(client);
            let (code, said, wrong) = tool(&words.each_ref().map(String::as_str)).await;
            assert_eq!(code, Some(0), "{said} {wrong}");
            assert!(
                said.starts_with("applied: ") || said.starts_with("unchanged: "),
                "{said}"
            );
        }
        paid += 950_000;
        for (who, (client, _)) in CLIENTS.iter().enumerate() {
            let api = world.gateway.api.with_key(&format!("{client}-key"));
            for _ in 0..9 {
                let answer = api.post(message(n).to_string()).await.unwrap();
                match answer.status {
                    202 => accepted.push((who, n, answer.json()["id"].as_str().unwrap().to_owned())),
                    _ => {
                        assert_eq!(answer.json()["code"], "insufficient_credit", "{}", answer.text());
                        refused += 1;
                    }
                }
                n += 1;
            }
            let (left, _) = balance(&world, client).await;
            assert!(left >= 0, "{client}: {left}");
        }
    }
    assert!(refused > 0, "the money never ran out");

    let mut expected = [0; 3];
    let mut numbers = Vec::new();
    for (who, n, id) in &accepted {
        let (client, policy) = CLIENTS[*who];
        let api = world.gateway.api.with_key(&format!("{client}-key"));
        let end = eventually(&format!("message {id} to its end"), || async {
            let message = api.message(id).await;
            (message["final"] == true).then_some(message)
        })
        .await;
        let state = ["delivered", "rejected", "failed", "delivered", "delivered"][n % 5];
        assert_eq!(end["state"], state, "{end}");
        expected[*who] += due(policy, *n) * PRICE;
        if client == "acme" {
            let number = eventually(&format!("message {id} has a number"), || async {
                let message = api.message(id).await;
                message["number"].as_i64()
            })
            .await;
            numbers.push(number);
        } else {
            assert!(end.get("number").is_none());
        }
    }
    let all: Vec<i64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, all, "in the order of their accepts, without a gap");

    for ((client, policy), due) in CLIENTS.iter().zip(expected) {
        let left = eventually(&format!("nothing of {client} is put aside"), || async {
            let (left, reserved) = balance(&world, client).await;
            (reserved == 0).then_some(left)
        })
        .await;
        assert_eq!(left, paid - due, "{client}, {policy}");
        let ledger = world
            .gateway
            .admin(&format!("/credit/{client}/ledger?from=0&limit=200"))
            .await
            .json();
        let (mut running, mut number, mut taken) = (0, 0, 0);
        for line in ledger["lines"].as_array().unwrap() {
            number += 1;
            match line["movement"].as_str().unwrap() {
                "commit" => taken += micro(&line["amount"]),
                _ => running += micro(&line["amount"]),
            }
            assert_eq!(
                (line["number"].as_i64().unwrap(), micro(&line["balance"])),
                (number, running),
                "{line}"
            );
            assert!(running >= 0, "{line}");
        }
        assert_eq!(
            (running, taken),
            (left, due),
            "{client}: the statement ends as the balance"
        );
        println!("{client} ({policy}): {number} lines, {taken} taken, {left} left of {paid}");
    }

    let (code, shown, _) = tool(&["credit", "show", "carl", "--admin", &admin]).await;
    assert_eq!(code, Some(0));
    assert!(
        shown.lines().nth(1).unwrap().starts_with("carl    EUR "),
        "{shown}"
    );
    let (code, _, wrong) = tool(&["credit", "top-up", "nobody", "1", "--admin", &admin]).await;
    assert_eq!(code, Some(1));
    assert!(wrong.contains("there is no such prepaid client"), "{wrong}");
    let (code, _, wrong) = tool(&["credit", "correct", "carl", "-1000", "--admin", &admin]).await;
    assert_eq!(code, Some(1));
    assert!(wrong.contains("the balance would go below its floor"), "{wrong}");
    let (code, listed, _) = tool(&["credit", "ledger", "carl", "--admin", &admin]).await;
    assert_eq!(code, Some(0));
    assert!(
        listed.contains("top-up") && listed.contains("invoice 7"),
        "{listed}"
    );
    world.gateway.stop().await;
}

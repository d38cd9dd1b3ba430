//! What admission refuses, as a client over SMPP sees it: opt-outs and quotas.

use crate::harness::*;
use smsgw_message::{Address, OptOut, Record, names};
use smsgw_queue::{Expiry, Step, StepId};
use smsgw_runtime::{Clock, SystemClock};
use smsgw_smpp::{CommandStatus, SubmitSm};

#[tokio::test]
async fn a_phone_that_opted_out_is_an_invalid_destination() {
    let node = Node::start("", "opt_out = true").await;
    let to = Address::msisdn("491700000001").unwrap();
    let record = OptOut {
        since: SystemClock.now(),
        until: None,
    };
    let list = |key: String, step: u8| {
        Step::new(StepId::from_bytes([step; 16])).put(key, record.to_record(), Expiry::Owner)
    };
    let mut esme = node.bind().await;
    assert_eq!(esme.answer(text("Hello")).await.0, CommandStatus::OK);
    let of_sender =
        names::opted_out_of_clients_sender(&client("acme"), &Address::sender("54321").unwrap(), &to);
    list(of_sender, 1).commit(node.engine.as_ref()).await.unwrap();
    let from = |sender: &str| SubmitSm {
        source: smsgw_smpp::Address::short_code(sender).unwrap(),
        ..text("Hello")
    };
    assert_eq!(
        esme.answer(from("54321")).await.0,
        CommandStatus::INVALID_DESTINATION
    );
    assert_eq!(esme.answer(from("12345")).await.0, CommandStatus::OK);
    let of_client = names::opted_out_of_client(&client("acme"), &to);
    list(of_client, 2).commit(node.engine.as_ref()).await.unwrap();
    assert_eq!(
        esme.answer(from("12345")).await.0,
        CommandStatus::INVALID_DESTINATION
    );
    assert_eq!(node.waiting(), 2, "what is refused is not there");
    // The list of one account binds no other.
    let mut other = node
        .bind_as("other", "secret", smsgw_smpp::BindKind::Transceiver, 0x34)
        .await
        .unwrap();
    assert_eq!(other.answer(text("Hello")).await.0, CommandStatus::OK);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_message_queue_full_for_every_bind_of_the_account() {
    let node = Node::start("", "quota_day = 3").await;
    let (mut first, mut second) = (node.bind().await, node.bind().await);
    assert_eq!(first.answer(text("Hello")).await.0, CommandStatus::OK);
    assert_eq!(second.answer(text("Hello")).await.0, CommandStatus::OK);
    assert_eq!(first.answer(text("Hello")).await.0, CommandStatus::OK);
    for esme in [&mut first, &mut second] {
        assert_eq!(
            esme.answer(text("Hello")).await.0,
            CommandStatus::MESSAGE_QUEUE_FULL
        );
    }
    assert_eq!(node.waiting(), 3);
    // A window full of submits at once takes what is left, and not one part more.
    node.config.publish(config("", "quota_day = 10"));
    for tag in 0..50 {
        second.submit(tag, text("Hello")).await;
    }
    let mut taken = 0;
    for _ in 0..50 {
        match second.answered().await.0 {
            CommandStatus::OK => taken += 1,
            status => assert_eq!(status, CommandStatus::MESSAGE_QUEUE_FULL),
        }
    }
    assert_eq!(taken, 7);
    assert_eq!(node.waiting(), 10);
}

#[tokio::test]
async fn what_prepaid_credit_does_not_pay_for_is_submit_failed_and_not_one_part_more_is_taken() {
    let prepaid =
        "[client.acme.credit]\nkind = \"prepaid\"\n[[price]]\nprice = \"0.1\"\ncurrency = \"EUR\"\n";
    let node = Node::start("", prepaid).await;
    let key = names::credit(&client("acme"), "EUR", names::CREDIT_BALANCE);
    let pay = Step::new(StepId::from_bytes([7; 16])).add(key, 1_050_000, None, Expiry::Owner);
    pay.commit(node.engine.as_ref()).await.unwrap();
    let mut esme = node.bind().await;
    for tag in 0..50 {
        esme.submit(tag, text("Hello")).await;
    }
    let mut taken = 0;
    for _ in 0..50 {
        match esme.answered().await.0 {
            CommandStatus::OK => taken += 1,
            status => assert_eq!(status, CommandStatus::SUBMIT_FAILED),
        }
    }
    assert_eq!(taken, 10);
    assert_eq!(node.waiting(), 10);
}

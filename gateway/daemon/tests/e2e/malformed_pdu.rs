//! A carrier that sends nonsense gets an answer, the nonsense is counted, and the session goes on.

use crate::harness::{
    DELIVER_SM, DELIVER_SM_RESP, FakeCarrier, GENERIC_NACK, Gateway, Pdu, Receiver, SUBMIT_SM, deliver_sm,
    usual,
};

const INVALID_COMMAND: u32 = 0x03;

#[tokio::test]
async fn a_malformed_pdu_is_answered_and_the_session_goes_on() {
    let receiver = Receiver::start().await;
    let carrier = FakeCarrier::start().await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    carrier.binds.wait("a bind", |binds| binds.first().copied()).await;

    // A command nobody knows.
    carrier
        .say(&Pdu::new(0x0000_0999, 1001, *b"whatever").octets())
        .await;
    let answer = carrier.answer_to("an answer to the unknown command", 1001).await;
    assert_eq!((answer.id, answer.status), (GENERIC_NACK, INVALID_COMMAND));

    // A delivery that ends in the middle of its addresses.
    let whole = deliver_sm("491700000001", "12345", 0, 5, b"Hello");
    carrier
        .say(&Pdu::new(DELIVER_SM, 1002, &whole[..9]).octets())
        .await;
    let answer = carrier
        .answer_to("an answer to the truncated delivery", 1002)
        .await;
    assert!(
        answer.id == DELIVER_SM_RESP || answer.id == GENERIC_NACK,
        "{answer:?}"
    );
    assert_ne!(
        answer.status, 0,
        "what could not be read is not taken over silently"
    );

    // sm_length says more than there is: the rest of the PDU is the message.
    let body = deliver_sm("491700000001", "12345", 0, 200, b"shorter than told");
    carrier.say(&Pdu::new(DELIVER_SM, 1003, body).octets()).await;
    let answer = carrier.answer_to("an answer to the wrong length", 1003).await;
    assert_eq!((answer.id, answer.status), (DELIVER_SM_RESP, 0));
    receiver
        .mo("the text that was there", |mo| mo["text"] == "shorter than told")
        .await;

    // An empty delivery, an answer to nothing, octets behind an unbind's answer.
    carrier.say(&Pdu::new(DELIVER_SM, 1004, []).octets()).await;
    let answer = carrier.answer_to("an answer to the empty delivery", 1004).await;
    assert_ne!(answer.status, 0);
    carrier
        .say(&Pdu::new(0x8000_0004, 999_999, *b"nobody asked\0").octets())
        .await;

    // A receipt whose text is no receipt.
    let nonsense = deliver_sm("491700000001", "12345", 4, 8, b"nonsense");
    carrier.say(&Pdu::new(DELIVER_SM, 1005, nonsense).octets()).await;
    carrier
        .answer_to("an answer to the unreadable receipt", 1005)
        .await;

    // The session is whole: a message makes its trip over it.
    let id = gateway.api.text("491700000001", "after all that").await;
    let submit = carrier.pdu("the submit", |pdu| pdu.id == SUBMIT_SM).await;
    carrier
        .say(&Pdu::new(0x8000_0004, submit.sequence, *b"F-1\0").octets())
        .await;
    let text = b"id:F-1 sub:001 dlvrd:001 submit date:2611210800 done date:2611210800 stat:DELIVRD err:000 text:after";
    let receipt = deliver_sm(
        "491700000001",
        "12345",
        4,
        u8::try_from(text.len()).unwrap(),
        text,
    );
    carrier.say(&Pdu::new(DELIVER_SM, 1006, receipt).octets()).await;
    let answer = carrier.answer_to("an answer to the receipt", 1006).await;
    assert_eq!((answer.id, answer.status), (DELIVER_SM_RESP, 0));
    assert_eq!(receiver.report(&id).await.body["message"]["state"], "delivered");

    let metrics = gateway.metrics().await;
    let undecodable = metrics.sum("smsgw_operator_undecodable_total", &[("operator", "alpha")]);
    assert!(undecodable >= 2.0, "{undecodable}");
    let quirk = [("operator", "alpha"), ("quirk", "short_message_truncated")];
    assert!(metrics.sum("smsgw_operator_tolerated_total", &quirk) >= 1.0);
    assert!(metrics.sum("smsgw_operator_unmatched_total", &[("operator", "alpha")]) >= 1.0);
    let corrupt = metrics.sum("smsgw_queue_depth", &[("place", "corrupt")]);
    assert!(
        corrupt >= 1.0,
        "deliveries that cannot be read are kept: {corrupt}"
    );
    assert_eq!(
        carrier.binds.read(<[u32]>::len),
        1,
        "one session from the beginning to the end"
    );
    gateway.stop().await;
}

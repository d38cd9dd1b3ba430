//! Requests and answers, without a network.

use super::answer::{Outcome, judge, retry_after};
use super::pick::{Source, pick};
use super::request::{Writer, sign};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use smsgw_config::{
    CarrierTemplate, Config, HTTP_BASE, HTTP_CODE_BASE, HttpCarrier, Operator, Picker, SignatureForm,
    StatusRange,
};
use smsgw_message::text::{self, Requested};
use smsgw_message::{Dispatch, Encoding, Part, Timestamp};
use std::time::{Duration, UNIX_EPOCH};

const NOW: Timestamp = Timestamp::from_millis(1_795_248_000_000);

pub(super) fn operator(http: &str) -> Operator {
    let auth = if http.contains("auth = ") {
        ""
    } else {
        "auth = \"bearer\"\n"
    };
    let http = format!("{auth}{http}");
    let file = format!(
        "[node]\nname = \"t\"\n[operator.x]\nprotocol = \"http\"\npassword = \"key\"\nlong_messages = \"payload\"\n\
         [operator.x.http]\n{http}\n"
    );
    let config = Config::parse("t", &file).unwrap_or_else(|problems| panic!("{problems:#?}"));
    config.operator.into_values().next().unwrap()
}

pub(super) fn dispatch(said: &str) -> Dispatch {
    let encoded = text::encode(said, Requested::Auto).unwrap();
    Dispatch {
        encoding: encoded.encoding,
        content: Part {
            udh: Vec::new(),
            data: encoded.bytes,
        },
        valid_until: NOW.after(Duration::from_secs(90)),
        ..crate::fixtures::dispatch(7)
    }
}

fn write(operator: &Operator, dispatch: &Dispatch) -> Result<Request<Full<Bytes>>, String> {
    let submit = crate::submit::submit(dispatch, smsgw_message::Class::Otp, operator, NOW)
        .map_err(|error| error.to_string())?;
    let writer = Writer::new(operator, operator.http.as_ref().unwrap()).unwrap();
    writer
        .request(&submit.message, 1_795_248_000)
        .map_err(|misfit| format!("{misfit:?}"))
}

async fn body(request: Request<Full<Bytes>>) -> String {
    let octets = request.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(octets.to_vec()).unwrap()
}

const NASTY: &str = "a\"b\\c&d=<e>'f'% +g\nпривет €";

#[tokio::test]
async fn no_text_leaves_the_place_it_stands_in() {
    let json = operator("url = \"http://h/\"\njson = '{\"t\":\"{text}\",\"to\":\"{to}\",\"n\":{part}}'");
    let written = body(write(&json, &dispatch(NASTY)).unwrap()).await;
    let read: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&read["t"], &read["n"]), (&NASTY.into(), &1.into()));

    let xml = operator("url = \"http://h/\"\nxml = '<s a=\"{text}\" to=\"{to}\">{text}</s>'");
    let written = body(write(&xml, &dispatch(NASTY)).unwrap()).await;
    for path in ["xml:/s", "xml:/s/@a"] {
        assert_eq!(
            from(path, written.as_bytes()),
            Some(NASTY.to_owned()),
            "{written}"
        );
    }

    let form = operator("url = \"http://h/\"\nform = { t = \"{text}\", to = \"{to}\", r = \"{udh_hex}\" }");
    let written = body(write(&form, &dispatch(NASTY)).unwrap()).await;
    assert_eq!(from("param:t", written.as_bytes()), Some(NASTY.to_owned()));
    assert!(!written.contains("r="), "nothing to tell: {written}");
    let query = operator("url = \"http://h/?t={text}&to={to}\"\nmethod = \"GET\"");
    let request = write(&query, &dispatch(NASTY)).unwrap();
    let query = request.uri().query().unwrap().to_owned();
    let source = Source {
        headers: &HeaderMap::new(),
        query: &query,
        body: b"",
    };
    assert_eq!(
        pick(&Picker::Param("t".to_owned()), source),
        Some(NASTY.to_owned())
    );
}

#[tokio::test]
async fn requests_say_who_we_are() {
    let base = "url = \"http://h/p?x=1\"\nform = { t = \"{text}\", to = \"{to}\" }\n";
    let value = |auth: &str, name: &str| {
        let request = write(&operator(&format!("{base}{auth}")), &dispatch("hi")).unwrap();
        request.headers()[name].to_str().unwrap().to_owned()
    };
    assert_eq!(
        value("auth = \"basic\"\nusername = \"me\"", "authorization"),
        "Basic bWU6a2V5"
    );
    assert_eq!(value("auth = \"bearer\"", "authorization"), "Bearer key");
    assert_eq!(
        value("auth = \"header\"\nauth_header = \"x-key\"", "x-key"),
        "key"
    );
    assert_eq!(value("headers = { x-a = \"b\" }", "x-a"), "b");
    let hmac = "auth = \"hmac\"\nauth_header = \"x-s\"\nsign = \"{method} {path} {timestamp} {body}\"";
    let to = dispatch("hi").to.as_str().to_owned();
    let signed = format!("POST /p?x=1 1795248000 t=hi&to={to}");
    assert_eq!(
        value(hmac, "x-s"),
        sign("key", signed.as_bytes(), SignatureForm::Hex)
    );
    // Computed with `openssl dgst -sha256 -hmac key` over the same octets.
    assert_eq!(
        sign(
            "key",
            b"The quick brown fox jumps over the lazy dog",
            SignatureForm::Hex
        ),
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    );
}

#[test]
fn what_a_template_has_no_place_for_is_refused() {
    let binary = Dispatch {
        encoding: Encoding::Binary,
        ..dispatch("x")
    };
    let ported = Dispatch {
        content: Part {
            udh: vec![6, 5, 4, 0x15, 0x81, 0, 0],
            data: b"x".to_vec(),
        },
        ..dispatch("x")
    };
    let plain = operator("url = \"http://h/?t={text}&to={to}\"");
    let full = operator("url = \"http://h/?t={text_hex}&u={udh_hex}&to={to}\"");
    for dispatch in [&binary, &ported] {
        assert_eq!(write(&plain, dispatch).unwrap_err(), "Misfit");
        write(&full, dispatch).unwrap();
    }
}

fn from(picker: &str, body: &[u8]) -> Option<String> {
    let headers = HeaderMap::from_iter([("x-id".parse().unwrap(), "H1".parse().unwrap())]);
    let source = Source {
        headers: &headers,
        query: "q=1+2",
        body,
    };
    pick(&Picker::from_text(picker).unwrap(), source)
}

#[test]
fn values_are_found_where_pickers_say() {
    let xml = br#"<?xml version="1.0"?><!-- <a><b>no</b></a> --><n:a><x><b>no</b></x><b id='1'/><b id="q&gt;&#x41;"> <![CDATA[<v>]]>&amp;w </b></n:a>"#;
    for (picker, body, found) in [
        ("json:/a/1/b", &br#"{"a":[0,{"b":"x"}]}"#[..], Some("x")),
        ("json:/a", br#"{"a":12}"#, Some("12")),
        ("json:/a", br#"{"a":null}"#, None),
        ("json:/a", b"{", None),
        ("xml:/a/b/@id", xml, Some("1")),
        ("xml:/a/x/b", xml, Some("no")),
        ("xml:/a/c", xml, None),
        ("xml:/b", xml, None),
        ("xml:/a", b"<a", None),
        ("xml:/a/b", b"<a><b>v</b></a>", Some("v")),
        ("xml:/a/b", b"<a><c></c></c></d><b>", None),
        ("regex:ID: (\\w+)", b"OK ID: 77", Some("77")),
        ("param:q", b"", Some("1 2")),
        ("param:z", b"y=1&z=%2B", Some("+")),
        ("header:X-Id", b"", Some("H1")),
    ] {
        assert_eq!(from(picker, body).as_deref(), found, "{picker}");
    }
}

#[test]
fn an_answer_is_judged_by_status_and_code() {
    let picker = |text| Some(Picker::from_text(text).unwrap());
    let plain = HttpCarrier {
        id: picker("json:/id"),
        ..HttpCarrier::default()
    };
    let coded = HttpCarrier {
        code: picker("json:/c"),
        codes: [(
            smsgw_config::ParameterName::from_text("busy").unwrap(),
            StatusRange::one(0x58).unwrap(),
        )]
        .into(),
        ..plain.clone()
    };
    let judged = |http: &HttpCarrier, status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        match judge(http, status, &HeaderMap::new(), Some(body.as_bytes())) {
            Outcome::Answered { status, id } => Some((status.0, id.to_string_lossy())),
            Outcome::Unclear => None,
        }
    };
    let refused = |status: u32| Some((status, String::new()));
    assert_eq!(judged(&plain, 201, r#"{"id":"A"}"#), Some((0, "A".to_owned())));
    assert_eq!(judged(&plain, 200, ""), refused(0));
    assert_eq!(judged(&plain, 302, ""), refused(HTTP_BASE + 302));
    assert_eq!(judged(&plain, 429, ""), refused(HTTP_BASE + 429));
    assert_eq!(
        judged(&coded, 200, r#"{"id":"A","c":0}"#),
        Some((0, "A".to_owned()))
    );
    assert_eq!(judged(&coded, 200, r#"{"c":"busy"}"#), refused(0x58));
    assert_eq!(judged(&coded, 400, r#"{"c":"busy"}"#), refused(0x58));
    assert_eq!(judged(&coded, 200, r#"{"c":7}"#), refused(HTTP_CODE_BASE + 7));
    assert_eq!(judged(&coded, 200, r#"{"c":"no"}"#), refused(0x66));
    assert_eq!(judged(&coded, 200, "half an ans"), None, "in doubt");
    assert_eq!(judged(&coded, 500, ""), refused(HTTP_BASE + 500));
}

#[test]
fn an_answer_that_broke_off_accepts_nothing_but_a_refusal_stands() {
    let plain = HttpCarrier {
        id: Picker::from_text("json:/id"),
        ..HttpCarrier::default()
    };
    let judged = |http: &HttpCarrier, status: StatusCode| judge(http, status, &HeaderMap::new(), None);
    assert_eq!(judged(&plain, StatusCode::OK), Outcome::Unclear);
    let refused = Outcome::Answered {
        status: smsgw_smpp::CommandStatus(HTTP_BASE + 503),
        id: smsgw_smpp::COctets::new(),
    };
    assert_eq!(judged(&plain, StatusCode::SERVICE_UNAVAILABLE), refused);
    // Where nothing is looked for in it, nothing is missed.
    let silent = HttpCarrier::default();
    assert_ne!(judged(&silent, StatusCode::OK), Outcome::Unclear);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let after = |text: &str| {
        let headers = HeaderMap::from_iter([(hyper::header::RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, UNIX_EPOCH + Duration::from_secs(784_111_770))
    };
    assert_eq!(after("3"), Some(Duration::from_secs(3)));
    assert_eq!(
        after("Sun, 06 Nov 1994 08:49:37 GMT"),
        Some(Duration::from_secs(7))
    );
    assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(after("soon"), None);
}

#[test]
fn the_sample_names_fields_that_there_are() {
    let sample = include_str!("../../../../config/samples/http-carrier.toml");
    let config =
        Config::parse("http-carrier.toml", sample).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.operator.len(), 1);
    assert_eq!(CarrierTemplate::from_text("{nothing}"), None);
}

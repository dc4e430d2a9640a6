//! What a newer daemon may say in JSON within version 1, and what is made of it here.

use serde_json::{Value, json};

use super::{MESSAGES, read, schema};
use crate::protocol::*;

fn message(value: Value) -> Message {
    serde_json::from_value(value).expect("it can be read")
}

fn golden(name: &str) -> Value {
    let kept = read(MESSAGES);
    let kept = kept.iter().find(|kept| kept.name == name);
    serde_json::from_str(&kept.expect("a golden message").json).expect("JSON")
}

/// A name at this place becomes one that nobody knows.
fn with(mut message: Value, place: &str, value: Value) -> Value {
    *message.pointer_mut(place).expect("a place") = value;
    message
}

#[test]
fn unknown_names_are_kept_and_told_further() {
    for (of, place) in [
        ("present online", "/present/phase"),
        ("present, stage login", "/present/connecting/stage"),
        ("replayed", "/replayed/status/reason"),
        ("replayed", "/replayed/kind"),
        ("event logged_out", "/event/kind/logged_out/cause"),
        ("event logged_out", "/event/kind/logged_out/unlink"),
        ("failure not_online", "/reply/result/Err/code"),
        ("closing", "/closing/code"),
        ("pong", "/reply/result/Ok"),
    ] {
        let said = with(golden(of), place, json!("of_tomorrow"));
        let read = message(said.clone());
        assert_eq!(serde_json::to_value(&read).expect("JSON"), said, "{place}");
        schema::fits_message(&said).expect(place);
    }
}

/// What belongs to an unknown variant is passed over, and its name is kept.
#[test]
fn unknown_variants_are_passed_over() {
    let data = json!({"of": ["any", {"shape": null}], "n": 1.5});
    let unknown = message(json!({"presence": data}));
    assert!(matches!(unknown, Message::Unknown(name) if name.as_str() == "presence"));
    assert!(matches!(message(json!("heartbeat")), Message::Unknown(_)));

    let said = with(
        golden("event online"),
        "/event/kind",
        json!({"restricted": data}),
    );
    schema::fits_message(&said).expect("it is allowed");
    let Message::Event(event) = message(said) else {
        panic!("it is an event");
    };
    assert_eq!(event.kind.as_str(), "restricted");
    assert_eq!(event.status.map(|status| status.phase), Some(Phase::Online));

    let said = with(golden("pong"), "/reply/result/Ok", json!({"queued": data}));
    let Message::Reply(Reply { result, .. }) = message(said) else {
        panic!("it is a reply");
    };
    assert!(matches!(result, Ok(Answer::Unknown(name)) if name.as_str() == "queued"));
}

/// A field more, in every object of every message.
#[test]
fn unknown_fields_are_passed_over() {
    fn grow(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.values_mut().for_each(grow);
                // An object with one key is a variant, and its only key is its name.
                if map.len() > 1 {
                    map.insert("of_tomorrow".to_owned(), json!({"more": [1, null]}));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(grow),
            _ => {}
        }
    }
    for kept in read(MESSAGES) {
        let mut said: Value = serde_json::from_str(&kept.json).expect("JSON");
        let before = message(said.clone());
        grow(&mut said);
        schema::fits_message(&said).expect(&kept.name);
        assert_eq!(message(said), before, "{}", kept.name);
    }
}

/// What is known must be as it is known: a broken message is not taken for a new one.
#[test]
fn known_variants_are_read_strictly() {
    for broken in [
        json!({"event": null}),
        json!({"lagged": {}}),
        json!("lagged"),
        json!({"in_sync": {"seq": "x"}}),
        json!({"in_sync": {"seq": 1}, "event": 2}),
        json!({"presence": 1, "lagged": {"missed": 1}}),
        json!({}),
        json!(null),
        json!(7),
        json!(["lagged"]),
        with(golden("event online"), "/event/kind", json!({"online": 1})),
        with(golden("event online"), "/event/kind", json!("logged_out")),
        with(
            golden("event online"),
            "/event/kind",
            json!({"logged_out": {}}),
        ),
        with(golden("event online"), "/event/kind", json!(null)),
        with(golden("event online"), "/event/status/phase", json!(4)),
    ] {
        let text = broken.to_string();
        assert!(serde_json::from_str::<Message>(&text).is_err(), "{text}");
        assert!(schema::fits_message(&broken).is_err(), "{text}");
    }
}

/// bincode cannot pass anything over, so nothing that it has no place for is written.
#[test]
fn bincode_writes_no_unknown_variant() {
    let unknown = message(json!("heartbeat"));
    assert!(codec::Encoding::Bincode.encode(&unknown).is_err());
}

/// A view stays in step whatever stands between the messages that it knows.
#[test]
fn a_view_stays_in_step() {
    let mut view = View::default();
    for said in [
        golden("watching"),
        json!({"presence": {"user": "alice", "seq": 9}}),
        golden("present parked"),
        json!("heartbeat"),
        golden("in sync"),
        json!({"message": {"seq": 70}}),
    ] {
        view.follow(&message(said));
    }
    assert!(view.is_in_sync());
    assert_eq!((view.seq(), view.len()), (41, 1));
    let event = with(
        golden("event updated"),
        "/event/kind",
        json!({"restricted": 1}),
    );
    let event = with(event, "/event/status/phase", json!("restricted"));
    view.follow(&message(event));
    assert_eq!(view.seq(), 61);
    let phase = view
        .sessions()
        .next()
        .map(|status| status.phase.to_string());
    assert_eq!(phase.as_deref(), Some("restricted"));
}

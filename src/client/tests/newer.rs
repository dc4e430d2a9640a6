//! Daemons that are newer than this client: in another revision of bincode, and with things to say that it
//! does not know.

use serde_json::{Value, json};
use tokio::io::duplex;

use crate::client::scripted::{
    Daemon, Host, connected, entry, event, morning, online, picture, status,
};
use crate::client::{Client, ClientError, Follow, FollowItem, Options, Watch, WatchItem};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::{BINCODE_REVISION, PrefaceError};
use crate::protocol::{
    Answer, Cause, Command, Event, EventKind, Failure, FailureCode, Message, Phase, Reply, Status,
    Unlink,
};

const OTHER_REVISION: &str = "bincode/4000000000 is spoken here, in words of its own";

fn in_json() -> Options {
    Options {
        encoding: Encoding::Json,
        ..Options::default()
    }
}

fn present(status: Status) -> Message {
    Message::Present(Box::new(status))
}

fn happened(event: Event) -> Message {
    Message::Event(Box::new(event))
}

// ---- another revision -----------------------------------------------------------------------------

#[tokio::test]
async fn a_daemon_of_another_revision_is_spoken_to_in_json() {
    let host = Host::new();
    let path = host.path();
    let script = async {
        let hello = host.refuse(OTHER_REVISION).await;
        assert!(
            hello.starts_with(&format!("wasession/1 bincode/{BINCODE_REVISION} ")),
            "{hello}"
        );
        let mut daemon = host.accept().await;
        assert_eq!(daemon.encoding(), Encoding::Json);
        let id = daemon.expect(&Command::Ping).await;
        daemon.reply(id, Ok(Answer::Pong)).await;
    };
    let work = async {
        let client = Client::connect(&path, Options::default()).await;
        let client = client.expect("it is connected");
        assert_eq!(client.encoding(), Encoding::Json);
        client.ping().await.expect("pong");
    };
    tokio::join!(script, work);
}

/// The daemon is replaced by a newer one while a program follows it, and later by one of its own revision.
#[tokio::test]
async fn a_follower_goes_on_with_daemons_of_other_revisions() {
    let host = Host::new();
    let path = host.path();
    let serve = async |encoding: Encoding| {
        let daemon = host.accept().await;
        assert_eq!(daemon.encoding(), encoding);
        daemon
    };
    let watch = async |daemon: &mut Daemon| {
        let id = daemon.request().await.expect("a watch").id;
        daemon
            .begin_watch(id, picture(4, vec![online("alice")]))
            .await;
    };
    let script = async {
        let mut daemon = serve(Encoding::Bincode).await;
        daemon.tell_history(Some("alice"), vec![]).await;
        watch(&mut daemon).await;
        drop(daemon);
        host.refuse(OTHER_REVISION).await;
        let mut daemon = serve(Encoding::Json).await;
        watch(&mut daemon).await;
        drop(daemon);
        let mut daemon = serve(Encoding::Bincode).await;
        watch(&mut daemon).await;
        daemon
    };
    let work = async {
        let client = Client::connect(&path, Options::default()).await;
        let client = client.expect("it is connected");
        let mut follow = client.follow(["alice"], None).await.expect("it follows");
        for encoding in [Encoding::Bincode, Encoding::Json, Encoding::Bincode] {
            until_state(&mut follow).await;
            assert_eq!(follow.client().encoding(), encoding);
            assert_eq!(follow.view().len(), 1);
        }
    };
    tokio::join!(script, work);
}

async fn until_state(follow: &mut Follow) {
    loop {
        if let FollowItem::State(_) = follow.next().await.expect("it goes on") {
            return;
        }
    }
}

/// Over a stream there is no second connection.
#[tokio::test]
async fn a_stream_to_a_daemon_of_another_revision_says_so() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_util::bytes::Bytes;
    use tokio_util::codec::{Framed, LengthDelimitedCodec};

    let (ours, theirs) = duplex(4096);
    let script = async {
        let mut frames = Framed::new(theirs, LengthDelimitedCodec::new());
        frames.next().await.expect("a preface").expect("a frame");
        let refusal = format!("wasession/1 error {OTHER_REVISION}");
        frames.send(Bytes::from(refusal)).await.expect("sent");
    };
    let (client, ()) = tokio::join!(Client::over(ours, Options::default()), script);
    let error = client.expect_err("another revision");
    assert!(
        matches!(error, ClientError::OtherRevision(4_000_000_000)),
        "{error:?}"
    );
    assert!(error.to_string().contains("JSON"), "{error}");
}

/// What refuses this client for another reason is not asked twice.
#[tokio::test]
async fn another_refusal_is_final() {
    let host = Host::new();
    let (path, encoding) = (host.path(), PrefaceError::Encoding.to_string());
    for why in ["too many connections", encoding.as_str()] {
        let connect = Client::connect(&path, Options::default());
        let (client, _) = tokio::join!(connect, host.refuse(why));
        let error = client.expect_err("refused");
        assert!(
            matches!(&error, ClientError::Refused(said) if said == why),
            "{error:?}"
        );
    }
}

// ---- in JSON, things that this client does not know -----------------------------------------------

/// A field more, wherever one may come.
fn and_more(value: &mut Value) {
    if let Value::Object(map) = value {
        map.insert("of_tomorrow".to_owned(), json!({"any": [1, null]}));
    }
}

#[tokio::test]
async fn a_watch_passes_over_what_it_does_not_know() {
    let (client, mut daemon) = connected(in_json()).await;
    let script = async {
        let id = daemon.request().await.expect("a watch").id;
        let watching = crate::protocol::Watching {
            epoch: 5,
            seq: 41,
            gap: false,
        };
        let reply = Message::Reply(Reply {
            id,
            result: Ok(Answer::Watching(watching)),
        });
        daemon
            .newer(&reply, |said| {
                and_more(&mut said["reply"]["result"]["Ok"]["watching"]);
            })
            .await;
        // In the middle of a state, too.
        daemon
            .raw(br#"{"presence":{"user":"alice"}}"#.to_vec())
            .await;
        daemon
            .newer(&present(online("alice")), |said| {
                let status = &mut said["present"];
                status["phase"] = json!("restricted");
                status["reason"] = json!("spam_reported");
                status["next_action"] = json!("Wait until Tuesday.");
                status["of_tomorrow"] = json!([{"of": "send"}]);
            })
            .await;
        daemon.raw(br#""heartbeat""#.to_vec()).await;
        daemon.send(&Message::InSync { seq: 41 }).await;
        let status = status("alice", Phase::Connecting);
        daemon
            .newer(
                &happened(event(42, EventKind::Updated, status.clone())),
                |said| {
                    said["event"]["kind"] = json!({"restricted": {"until": "Tuesday"}});
                    and_more(&mut said["event"]);
                },
            )
            .await;
        daemon
            .newer(&happened(event(43, EventKind::Updated, status)), |said| {
                said["event"]["kind"] = json!("migrated");
                said["event"]["status"]["connecting"] =
                    json!({"attempt": 1, "stage": "attestation", "stage_since": morning()});
            })
            .await;
        let ended = crate::client::scripted::ended(44, entry("alice", Cause::Unlinked));
        daemon
            .newer(&happened(ended), |said| {
                let entry = &mut said["event"]["kind"]["logged_out"];
                entry["cause"] = json!("passkey_changed");
                entry["unlink"] = json!("queued");
                entry["unread"] = json!(7);
            })
            .await;
        daemon
    };
    let work = async {
        let mut watch: Watch = client.watch(["alice"], None).await.expect("a watch");
        let alice = watch.view().sessions().next().expect("one").clone();
        assert_eq!(alice.phase.to_string(), "restricted");
        assert_eq!(
            alice.reason.map(|r| r.to_string()).as_deref(),
            Some("spam_reported")
        );
        assert_eq!(alice.next_action, "Wait until Tuesday.");
        let mut seen = Vec::new();
        for _ in 0..3 {
            let WatchItem::Event(event) = watch.next().await.expect("an event") else {
                panic!("not an event");
            };
            seen.push(event);
        }
        let kinds: Vec<_> = seen.iter().map(|event| event.kind.to_string()).collect();
        assert_eq!(kinds, ["restricted", "migrated", "logged_out"]);
        let connecting = seen[1].status.as_ref().and_then(|status| status.connecting);
        let stage = connecting.expect("it is connecting").stage.to_string();
        assert_eq!(stage, "attestation");
        let ended = seen[2].kind.ended().expect("an end");
        assert_eq!(ended.cause.to_string(), "passkey_changed");
        assert!(matches!(ended.cause, Cause::Unknown(_)));
        assert!(matches!(ended.unlink, Unlink::Unknown(_)));
        assert!(ended.unlink.device_may_remain());
        assert_eq!((watch.view().seq(), watch.view().len()), (44, 0));
    };
    tokio::join!(script, work);
}

#[tokio::test]
async fn an_answer_that_is_not_known_ends_its_request_only() {
    let (client, mut daemon) = connected(in_json()).await;
    let script = async {
        let id = daemon.request().await.expect("a request").id;
        let answer = json!({"reply": {"id": id, "result": {"Ok": {"queued": {"place": 3}}}}});
        daemon.raw(answer.to_string().into_bytes()).await;
        let id = daemon.request().await.expect("a request").id;
        let no = Failure::new(FailureCode::Refused, "The account may not do this.");
        let reply = Message::Reply(Reply {
            id,
            result: Err(no),
        });
        daemon
            .newer(&reply, |said| {
                let failure = &mut said["reply"]["result"]["Err"];
                failure["code"] = json!("restricted");
                failure["restriction"] = json!({"until": "Tuesday"});
            })
            .await;
        let id = daemon.expect(&Command::Ping).await;
        daemon.reply(id, Ok(Answer::Pong)).await;
    };
    let work = async {
        let error = client.connect_session("alice", None).await;
        let error = error.expect_err("the answer is not known").to_string();
        assert!(
            error.contains("\"queued\"") && error.contains("older"),
            "{error}"
        );
        let Err(ClientError::Failure(no)) = client.status("alice").await else {
            panic!("it is a failure");
        };
        assert_eq!(no.code.to_string(), "restricted");
        assert_eq!(no.message, "The account may not do this.");
        client.ping().await.expect("the connection goes on");
    };
    tokio::join!(script, work);
}

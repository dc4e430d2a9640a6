//! More than fits into a frame, to the real client and to one that counts.

use crate::client::scripted::{entry, online};
use crate::client::{Client, Options, WatchItem};
use crate::daemon::harness::{Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::{
    Answer, Cause, Command, HistoryEntry, MAX_FRAME, MAX_HISTORY, MAX_ITEM, MAX_PAGE, MAX_TARGETS,
    MAX_TEXT, Status,
};

const ENCODINGS: [Encoding; 2] = [Encoding::Bincode, Encoding::Json];

/// A session with as much in it as a session may have, every so often.
fn session(n: usize) -> Status {
    let mut status = online(&format!("user-{n:04}"));
    if n.is_multiple_of(20) {
        let jid = |n| format!("1203630123456{n:05}@g.us").parse();
        status.targets = (0..MAX_TARGETS).map(|n| jid(n).expect("a JID")).collect();
        status.error = Some("\u{1}".repeat(MAX_TEXT));
    }
    status
}

fn end(n: usize) -> HistoryEntry {
    HistoryEntry {
        text: Some(format!("{n} {}", "\u{1}".repeat(MAX_TEXT - 10))),
        ..entry(&format!("user-{n:04}"), Cause::Unlinked)
    }
}

async fn client(harness: &Harness, uid: u32, encoding: Encoding) -> Client {
    let options = Options {
        encoding,
        ..Options::default()
    };
    let (stream, _) = harness.stream(uid, 64 * 1024);
    Client::over(stream, options).await.expect("welcome")
}

#[tokio::test]
async fn more_sessions_than_fit_into_a_frame_are_listed_and_watched() {
    let harness = Harness::new().await;
    let all: Vec<_> = (0..1000).map(session).collect();
    for status in &all {
        harness.daemon.supervisor().pretend(status.clone());
    }
    for (encoding, seq) in ENCODINGS.into_iter().zip(1000..) {
        assert!(
            encoding.encode(&all).is_err(),
            "this would fit into a frame"
        );
        let client = client(&harness, 0, encoding).await;
        assert_eq!(client.list().await.expect("a list"), all);
        let nobody: [&str; 0] = [];
        let mut watch = client.watch(nobody, None).await.expect("a watch");
        assert!(watch.beginning().sessions().eq(&all));
        assert_eq!(watch.beginning().seq(), seq);
        harness.daemon.supervisor().pretend(session(7));
        let item = watch.next().await.expect("an event");
        assert!(matches!(item, WatchItem::Event(event) if event.user == all[7].user));
    }
}

#[tokio::test]
async fn a_page_of_a_list_is_bounded_and_leads_on() {
    let harness = Harness::new().await;
    let somebodys = |n| Status {
        owner: SOMEBODY,
        ..session(n)
    };
    for n in 0..300 {
        let status = if n % 3 == 0 { session(n) } else { somebodys(n) };
        harness.daemon.supervisor().pretend(status);
    }
    for encoding in ENCODINGS {
        let mut client = harness.client(SOMEBODY, encoding).await;
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            client.ask(1, Command::List { after }).await;
            let reply = client.reply().await;
            let size = encoding.encode(&reply).expect("it came in a frame").len();
            assert!(size < MAX_PAGE + 200, "{size}");
            let Ok(Answer::Sessions(page)) = reply.result else {
                panic!("{reply:?}");
            };
            pages += 1;
            seen.extend(page.sessions);
            let Some(next) = page.next else { break };
            assert_eq!(seen.last().map(|s| &s.user), Some(&next));
            after = Some(next.to_string());
        }
        let theirs: Vec<_> = (0..300).filter(|n| n % 3 != 0).map(somebodys).collect();
        assert_eq!(seen, theirs);
        assert!(pages > 1, "one page has {} sessions", seen.len());
    }
    // A user between two, and one after all.
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    for (after, first) in [("user-0001x", Some("user-0002")), ("zoe", None)] {
        let after = Some(after.to_owned());
        client.ask(1, Command::List { after }).await;
        let Ok(Answer::Sessions(page)) = client.reply().await.result else {
            panic!("no page");
        };
        let told = page.sessions.first().map(|s| s.user.as_str());
        assert_eq!(told, first);
    }
}

#[tokio::test]
async fn a_history_is_told_in_pages_while_it_grows() {
    let harness = Harness::new().await;
    let supervisor = harness.daemon.supervisor();
    for n in 0..100 {
        supervisor.pretend_ended(&n.to_string(), &end(n)).await;
    }
    let newest_first: Vec<_> = (0..100).rev().map(end).collect();
    for encoding in ENCODINGS {
        assert!(
            encoding
                .encode(&newest_first)
                .is_ok_and(|b| b.len() < MAX_FRAME)
                == (encoding == Encoding::Bincode)
        );
        let whole = client(&harness, 0, encoding).await;
        let told = whole.history(None, Some(MAX_HISTORY)).await;
        assert!(told.expect("a history").ends_with(&newest_first));
        let some = whole.history(Some("user-0042"), None).await;
        assert_eq!(some.expect("a history"), [end(42)]);

        let mut client = harness.client(0, encoding).await;
        let (mut seen, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let command = Command::History {
                user: None,
                limit: Some(MAX_HISTORY),
                before,
            };
            client.ask(1, command).await;
            let reply = client.reply().await;
            let size = encoding.encode(&reply).expect("it came in a frame").len();
            assert!(size < MAX_PAGE + 200, "{size}");
            let Ok(Answer::History(page)) = reply.result else {
                panic!("{reply:?}");
            };
            pages += 1;
            seen.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
            // What ends meanwhile is newer and moves nothing.
            supervisor
                .pretend_ended(&format!("late {encoding} {pages}"), &end(9999))
                .await;
        }
        assert!(seen.ends_with(&newest_first));
        assert!(pages > 1, "one page has {} entries", seen.len());
    }
    // What the history has forgotten, or never had, has nothing older.
    let mut client = harness.client(0, Encoding::Json).await;
    let command = Command::History {
        user: None,
        limit: None,
        before: Some("long ago".to_owned()),
    };
    client.ask(1, command).await;
    let Ok(Answer::History(page)) = client.reply().await.result else {
        panic!("no page");
    };
    assert_eq!((page.entries.len(), page.next), (0, None));
}

/// The largest message a watch can bring is a fraction of a frame.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_of_a_large_state_is_disconnected() {
    let harness = Harness::new().await;
    for n in 0..100 {
        harness.daemon.supervisor().pretend(session(n * 20));
    }
    let mut client = harness.connect(0, MAX_ITEM);
    client.say_hello(Encoding::Json).await;
    let users = Vec::new();
    client.ask(1, Command::Watch { users, since: None }).await;
    let begin = tokio::time::Instant::now();
    client.served.await.expect("the connection ended well");
    assert_eq!(
        begin.elapsed().as_secs(),
        super::super::READ_WITHIN.as_secs()
    );
}

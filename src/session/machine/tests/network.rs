//! Single cases of proxies, and of the way back after WhatsApp could not be reached.

use std::time::Duration;

use super::super::{Answer, Effect, Input, Origin, Request};
use super::input::{ASKED, Row, account, ended};
use super::looks::{answered, opens, saves};
use super::scene::{Scene, Staged};
use crate::protocol::{Cause, FailureCode, Phase, Unlink};
use crate::session::{PairOptions, Past, ProxyChange, Standing};
use crate::store::{ProxyChoice, Record};
use crate::whatsapp::{LinkEvent, Pace, Verdict};

fn proxy(request: u64, url: &str) -> Input {
    let choice = ProxyChoice::Url(url.into());
    Input::Proxy(Request(request), ProxyChange::To(Some(choice)))
}

/// A session that was online and has failed so often since.
fn lost(failures: u32, cause: Cause) -> Staged {
    let mut staged = Scene::Online.stage();
    staged.pass(3600);
    for _ in 0..failures {
        staged.live(ended(Verdict::Retry(cause, Pace::Usual)));
        staged.pass_until_due();
        staged.live(Input::Due);
    }
    staged.live(ended(Verdict::Retry(cause, Pace::Usual)));
    staged
}

#[test]
fn a_change_of_the_proxy_is_in_force_at_once_and_answered_when_it_is_written() {
    let mut staged = Scene::Online.stage();
    let effects = staged.step(proxy(1, "http://one:1"));
    assert!(saves(&effects));
    let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { goodbye: true, .. });
    assert!(effects.iter().any(closes));
    assert_eq!(answered(&effects, Request(1)), None);
    // Another one comes before the first is written.
    staged.step(proxy(2, "http://two:2"));
    assert!(opens(&staged.step(Row::Closed.input())));
    let effects = staged.step(Row::Saved.input());
    assert_eq!(
        answered(&effects, Request(1)),
        None,
        "the second is being written"
    );
    let effects = staged.step(Row::Saved.input());
    let two = Answer::Proxy(Some(ProxyChoice::Url("http://two:2".into())));
    for request in [1, 2].map(Request) {
        assert!(effects.contains(&Effect::Answer(request, two.clone())));
    }
    // The same again changes nothing, and takes no link away.
    let effects = staged.step(proxy(3, "http://two:2"));
    assert_eq!(effects, [Effect::Answer(Request(3), two)]);
}

#[test]
fn a_proxy_that_could_not_be_written_says_so_and_is_written_again() {
    let mut staged = Scene::Disconnected.stage();
    assert!(!opens(&staged.step(proxy(1, "http://one:1"))));
    assert_eq!(staged.machine.phase(), Phase::Disconnected);
    let effects = staged.step(Row::NotSaved.input());
    let failed = Some(Err(FailureCode::StoreFailed));
    assert_eq!(answered(&effects, Request(1)), failed);
    let effects = staged.step(proxy(2, "http://one:1"));
    assert!(saves(&effects) && answered(&effects, Request(2)).is_none());
    let effects = staged.step(Row::Saved.input());
    assert_eq!(answered(&effects, Request(2)), Some(Ok(())));
}

#[test]
fn a_proxy_that_waits_for_the_disk_waits_for_the_end_of_a_logout() {
    let mut staged = Scene::Online.stage();
    staged.step(proxy(1, "http://one:1"));
    assert!(opens(&staged.step(Row::Closed.input())));
    let mut effects = staged.step(Row::Wipe.input());
    effects.extend(staged.step(Row::Saved.input()));
    assert_eq!(answered(&effects, Request(1)), None);
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
}

#[test]
fn another_proxy_is_tried_at_once_and_the_count_of_failures_begins_anew() {
    let mut staged = lost(4, Cause::ProxyRefused);
    assert!(staged.wait() > Some(Duration::from_secs(5)));
    assert!(opens(&staged.live(proxy(1, "http://one:1"))));
    staged.live(ended(Verdict::Retry(Cause::ProxyRefused, Pace::Usual)));
    assert!(staged.wait() <= Some(Duration::from_secs(1)));
}

#[test]
fn when_another_session_has_reached_whatsapp_this_one_tries_once_more() {
    for cause in [
        Cause::Unreachable,
        Cause::ConnectionLost,
        Cause::HandshakeFailed,
        Cause::Silent,
        Cause::Stuck,
        Cause::ServerUnavailable,
    ] {
        let mut staged = lost(3, cause);
        assert!(opens(&staged.live(Input::Reachable)), "{cause}");
        // It fails again, so the others' way is not its own.
        staged.live(ended(Verdict::Retry(cause, Pace::Usual)));
        let wait = staged.wait();
        assert_eq!(staged.live(Input::Reachable), [], "{cause}");
        assert!(wait > Some(Duration::from_secs(8)), "{wait:?}");
        // Once it has been online, it may try again.
        staged.pass_until_due();
        staged.live(Input::Due);
        staged.live(Input::Link(LinkEvent::Online(account(1))));
        staged.pass(60);
        for _ in 0..2 {
            staged.live(ended(Verdict::Retry(cause, Pace::Usual)));
            staged.live(Row::Connect.input());
        }
        staged.live(ended(Verdict::Retry(cause, Pace::Usual)));
    }
    for cause in [
        Cause::RateLimited,
        Cause::ProxyRefused,
        Cause::StoreFailed,
        Cause::TaskFailed,
    ] {
        let mut staged = lost(3, cause);
        assert_eq!(staged.live(Input::Reachable), [], "{cause}");
    }
    // The first try after a loss comes soon by itself.
    let mut staged = lost(0, Cause::ConnectionLost);
    assert_eq!(staged.live(Input::Reachable), []);
}

#[test]
fn the_machine_remembers_how_long_it_was_online() {
    let mut staged = lost(3, Cause::Unreachable);
    let online_for = staged.machine.was_online_for();
    assert!(online_for >= Duration::from_hours(1), "{online_for:?}");
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(Input::Link(LinkEvent::Online(account(1))));
    staged.pass(10);
    staged.live(ended(Verdict::Retry(Cause::Unreachable, Pace::Usual)));
    let online_for = staged.machine.was_online_for();
    assert!(online_for < Duration::from_secs(20), "{online_for:?}");
    assert_eq!(
        answered(&staged.live(Row::ProxyShown.input()), ASKED),
        Some(Ok(()))
    );
}

fn through(url: &str) -> PairOptions {
    PairOptions {
        proxy: Some(ProxyChoice::Url(url.into())),
        ..PairOptions::default()
    }
}

#[test]
fn a_new_session_has_its_proxy_from_the_first_link_on() {
    let origin = Origin::New {
        options: through("http://me:pw@one:80"),
        past: Past::default(),
    };
    let (mut staged, effects) = Staged::new(Record::new(1000), origin);
    assert!(opens(&effects));
    let own = staged.machine.record().proxy.clone();
    assert_eq!(own, Some(ProxyChoice::Url("http://me:pw@one:80".into())));
    // The same again, however it is written, is no other one.
    let again = Input::Connect(ASKED, through("HTTP://me:p%77@one"));
    assert_eq!(answered(&staged.live(again), ASKED), Some(Ok(())));
    for other in ["http://me:px@one:80", "http://me:pw@two:80"] {
        let before = staged.machine.clone();
        let effects = staged.live(Input::Connect(ASKED, through(other)));
        let refused = Some(Err(FailureCode::InvalidArgument));
        assert_eq!(answered(&effects, ASKED), refused, "{other}");
        assert_eq!(staged.machine, before);
    }
    assert_eq!(staged.machine.record().proxy, own);
}

/// A session whose record cannot be read.
fn unknown(origin: Origin) -> Staged {
    Staged::new(Record::stand_in(), origin).0
}

fn unknown_origins() -> [(Origin, FailureCode); 2] {
    [
        (
            Origin::Unusable("session.toml: no TOML".to_owned()),
            FailureCode::StoreCorrupt,
        ),
        (
            Origin::Unavailable("session.toml: I/O error".to_owned()),
            FailureCode::StoreFailed,
        ),
    ]
}

#[test]
fn where_nobody_knows_the_proxy_whatsapp_is_not_asked_on_another_way() {
    for (origin, code) in unknown_origins() {
        let mut staged = unknown(origin);
        let effects = staged.step(Row::ProxyShown.input());
        assert_eq!(answered(&effects, ASKED), Some(Err(code)));
        let effects = staged.step(Row::ForceLogout.input());
        let unlinks = |effect: &Effect| matches!(effect, Effect::Unlink { .. });
        assert!(!effects.iter().any(unlinks), "{effects:?}");
        let effects = staged.step(staged.closed());
        let [Effect::Remove(intent)] = effects.as_slice() else {
            panic!("{effects:?}");
        };
        assert_eq!(intent.unlink, Unlink::Unreachable);
    }
}

#[test]
fn a_record_that_can_be_read_again_knows_the_proxy() {
    for (origin, _) in unknown_origins() {
        let mut staged = unknown(origin);
        let mut record = Record::new(1000);
        record.proxy = Some(ProxyChoice::Direct);
        assert_eq!(staged.step(Row::Connect.input()), [Effect::Look]);
        // The record is readable, and the credentials are not.
        staged.step(Input::Looked(Standing::Unusable {
            record: Some(Box::new(record)),
            why: "vault.db: no database".to_owned(),
        }));
        let effects = staged.step(Row::ProxyShown.input());
        let shown = Effect::Answer(ASKED, Answer::Proxy(Some(ProxyChoice::Direct)));
        assert!(effects.contains(&shown), "{effects:?}");
        let effects = staged.step(Row::ForceLogout.input());
        let unlinks = |effect: &Effect| matches!(effect, Effect::Unlink { .. });
        assert!(effects.iter().any(unlinks), "{effects:?}");
    }
}

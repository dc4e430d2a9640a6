//! How fast somebody may begin sessions. The supervisor runs in this process, so that the callers are
//! whoever the test wants.

use std::time::{Duration, Instant};

use wasessiond::blocking::Rooms;
use wasessiond::protocol::{Answer, Command, Failure, FailureCode};
use wasessiond::store::Store;
use wasessiond::supervisor::{Caller, Settings, Supervisor};
use wasessiond::whatsapp::{Gateway, GatewaySettings};

const SOMEBODY: Caller = Caller {
    uid: 4711,
    sees_all: false,
};
const ANYBODY: Caller = Caller {
    uid: 4712,
    sees_all: false,
};
const ROOT: Caller = Caller {
    uid: 0,
    sees_all: true,
};

async fn connect(supervisor: &Supervisor, who: Caller, user: &str) -> Result<Answer, Failure> {
    let command = Command::Connect {
        user: user.to_owned(),
        phone: None,
        expect: None,
        proxy: None,
    };
    supervisor.execute(who, command).await
}

/// Nobody's history and disk are for one uid that begins sessions in a loop.
#[tokio::test]
async fn are_as_fast_as_a_person_needs_and_no_faster() {
    let dir = tempfile::tempdir().expect("a directory");
    let to_nobody = GatewaySettings {
        endpoint: Some("ws://127.0.0.1:9/ws/chat".to_owned()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::new(&to_nobody, &Rooms::new());
    let gateway = gateway.expect("a gateway");
    let store = Store::open(dir.path()).expect("a store");
    let supervisor = Supervisor::start(store, gateway, Settings::default()).await;
    let supervisor = supervisor.expect("start");
    connect(&supervisor, SOMEBODY, "kept").await.expect("one");
    connect(&supervisor, ANYBODY, "taken").await.expect("one");

    let (begin, mut births) = (Instant::now(), 1);
    let refused = loop {
        match connect(&supervisor, SOMEBODY, "loop").await {
            Ok(_) => births += 1,
            Err(refused) => break refused,
        }
        let disconnect = Command::Disconnect {
            user: "loop".to_owned(),
        };
        let gone = supervisor.execute(SOMEBODY, disconnect).await;
        assert!(matches!(gone, Ok(Answer::LoggedOut(_))), "{gone:?}");
    };
    assert_eq!(refused.code, FailureCode::RateLimited, "{refused}");
    assert!((1..=5).contains(&refused.retry_after.expect("when")));
    let most = 9 + begin.elapsed().as_secs() / 5;
    assert!((8..=most).contains(&births), "{births} sessions began");

    // Neither the sessions that are there nor anybody else is concerned.
    connect(&supervisor, SOMEBODY, "kept").await.expect("kept");
    connect(&supervisor, ANYBODY, "other").await.expect("other");
    connect(&supervisor, ROOT, "loop").await.expect("root");
    // And it is not found out by trying, as fast as one can, which names are taken.
    let mut refused = 0;
    for _ in 0..20 {
        let taken = connect(&supervisor, SOMEBODY, "taken").await;
        let failure = taken.expect_err("it is somebody else's");
        refused += usize::from(failure.code == FailureCode::RateLimited);
    }
    assert!(refused > 10, "{refused}");
    supervisor.stop(Duration::from_secs(10)).await;
}

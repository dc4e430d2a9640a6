//! What a client may see, and that it changes with the configuration.

use crate::client::scripted::online;
use crate::daemon::harness::{Client, Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::{
    Answer, Command, FailureCode, KeySource, MasterKey, Message, ProxyEdit, Status, TargetEdit,
};

fn session(user: &str, owner: u32) -> Status {
    Status {
        owner,
        ..online(user)
    }
}

async fn reload(harness: &Harness, admin: &mut Client, text: &str) {
    std::fs::write(&harness.config, text).expect("a configuration");
    admin.ask(1, Command::Reload).await;
    let reply = admin.reply().await;
    assert!(reply.result.is_ok(), "{reply:?}");
}

/// What a watch tells of its state, from here to its end.
async fn state(client: &mut Client) -> Vec<String> {
    let mut users = Vec::new();
    loop {
        match client.message().await {
            Some(Message::Present(status)) => users.push(status.user.to_string()),
            Some(Message::InSync { .. }) => return users,
            other => panic!("not a state: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_only_what_its_client_may_see_now() {
    let harness = Harness::new().await;
    let supervisor = harness.daemon.supervisor();
    supervisor.pretend(session("own", SOMEBODY));
    supervisor.pretend(session("other", 1));
    let mut admin = harness.client(0, Encoding::Bincode).await;
    let mut watcher = harness.client(SOMEBODY, Encoding::Bincode).await;
    let users = Vec::new();
    watcher.ask(1, Command::Watch { users, since: None }).await;
    assert!(watcher.reply().await.result.is_ok());
    assert_eq!(state(&mut watcher).await, ["own"]);

    // It becomes an admin, and the next thing that happens to anybody tells it all.
    reload(&harness, &mut admin, "[access]\nadmins = [4711]\n").await;
    supervisor.pretend(session("own", SOMEBODY));
    assert_eq!(watcher.message().await, Some(Message::Lagged { missed: 0 }));
    assert_eq!(state(&mut watcher).await, ["other", "own"]);
    supervisor.pretend(session("other", 1));
    let told = watcher.message().await;
    assert!(matches!(told, Some(Message::Event(event)) if event.user.as_str() == "other"));

    // And stops being one: the watch that is open tells nothing of others any more.
    reload(&harness, &mut admin, "").await;
    supervisor.pretend(session("other", 1));
    assert_eq!(watcher.message().await, Some(Message::Lagged { missed: 0 }));
    assert_eq!(state(&mut watcher).await, ["own"]);
    supervisor.pretend(session("other", 1));
    supervisor.pretend(session("own", SOMEBODY));
    let told = watcher.message().await;
    assert!(matches!(told, Some(Message::Event(event)) if event.user.as_str() == "own"));
}

/// Every verb that names a user.
fn verbs(user: &str) -> Vec<Command> {
    let user = || user.to_owned();
    vec![
        Command::Status { user: user() },
        Command::Disconnect { user: user() },
        Command::ForceLogout { user: user() },
        Command::Groups { user: user() },
        Command::Targets {
            user: user(),
            edit: TargetEdit::Clear,
        },
        Command::Watch {
            users: vec![user()],
            since: None,
        },
        Command::History {
            user: Some(user()),
            limit: None,
            before: None,
        },
    ]
}

/// What a client is told of a user, without the user's name in it.
async fn told(harness: &Harness, user: &str) -> Vec<String> {
    let mut all = Vec::new();
    for command in verbs(user) {
        let mut client = harness.client(SOMEBODY, Encoding::Json).await;
        client.ask(1, command).await;
        let reply = client.message().await.expect("a reply");
        all.push(format!("{reply:?}").replace(user, "NAME"));
        // And what a watch tells besides.
        client.ask(2, Command::Ping).await;
        loop {
            match client.message().await.expect("a message") {
                Message::Reply(reply) if reply.id == 2 => break,
                message => all.push(format!("{message:?}").replace(user, "NAME")),
            }
        }
    }
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn nothing_tells_a_foreign_session_from_one_that_is_not_there() {
    let harness = Harness::new().await;
    harness.daemon.supervisor().pretend(session("hidden", 1));
    let hidden = told(&harness, "hidden").await;
    assert_eq!(hidden, told(&harness, "absent").await);
    let not_found = hidden.iter().filter(|line| line.contains("NotFound"));
    assert_eq!(not_found.count(), 5, "{hidden:#?}");
    // Nor do the verbs that name nobody.
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.ask(1, Command::List { after: None }).await;
    let Ok(Answer::Sessions(page)) = client.reply().await.result else {
        panic!("no list");
    };
    assert_eq!((page.sessions.len(), page.next), (0, None));
    client.ask(2, Command::Info).await;
    let Ok(Answer::Info(info)) = client.reply().await.result else {
        panic!("no information");
    };
    assert_eq!(info.summary, "no sessions");
    assert_eq!((info.phases.len(), info.logouts.len()), (0, 0));
    assert_eq!(info.master_key, None);
}

#[tokio::test]
async fn the_master_key_is_rotated_for_admins_only() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.ask(1, Command::RotateKey).await;
    let failure = client.reply().await.result.expect_err("refused");
    assert_eq!(failure.code, FailureCode::NotAllowed);
    assert!(failure.message.contains("change the master key"));

    let mut admin = harness.client(0, Encoding::Json).await;
    let before = master_key(&mut admin).await;
    assert_eq!(before.source, Some(KeySource::File));
    admin.ask(2, Command::RotateKey).await;
    let Ok(Answer::RotatedKey(rotated)) = admin.reply().await.result else {
        panic!("not rotated");
    };
    assert!(rotated.begun && rotated.finished && rotated.left.is_empty());
    assert_ne!(Some(&rotated.id), before.id.as_ref());
    assert_eq!(master_key(&mut admin).await.id, Some(rotated.id));
}

async fn master_key(admin: &mut Client) -> MasterKey {
    admin.ask(9, Command::Info).await;
    match admin.reply().await.result {
        Ok(Answer::Info(info)) => info.master_key.expect("it is an admin"),
        other => panic!("no information: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_asked_for_over_and_over_by_nobody_of_importance_is_refused_each_time() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    for id in 0..100 {
        client.ask(id, Command::Reload).await;
        let failure = client.reply().await.result.expect_err("refused");
        assert_eq!(failure.code, FailureCode::NotAllowed);
    }
}

/// Every command that chooses a session's proxy.
fn choices() -> Vec<Command> {
    let user = || "own".to_owned();
    let url = || "http://me:secret@127.0.0.1:1".into();
    let edits = [ProxyEdit::Set(url()), ProxyEdit::None, ProxyEdit::Clear];
    let edits = edits
        .into_iter()
        .map(|edit| Command::Proxy { user: user(), edit });
    let connects = ["http://me:secret@127.0.0.1:1", "none"].map(|proxy| Command::Connect {
        user: user(),
        phone: None,
        expect: None,
        proxy: Some(proxy.into()),
    });
    edits.chain(connects).collect()
}

/// What comes of each of these commands.
async fn codes(client: &mut Client, commands: Vec<Command>) -> Vec<Option<FailureCode>> {
    let mut codes = Vec::new();
    for command in commands {
        client.ask(1, command).await;
        let result = client.reply().await.result;
        if let Err(failure) = &result {
            assert!(!failure.message.contains("secret"), "{failure}");
        }
        codes.push(result.err().map(|failure| failure.code));
    }
    codes
}

#[tokio::test(start_paused = true)]
async fn who_may_choose_a_proxy_follows_the_configuration() {
    let harness = Harness::new().await;
    let mut admin = harness.client(0, Encoding::Bincode).await;
    let mut owner = harness.client(SOMEBODY, Encoding::Json).await;
    let not_allowed = vec![Some(FailureCode::NotAllowed); choices().len()];
    // Nobody has a session of that name: to be shown it, or to change it, is no question of rights.
    let show = || Command::Proxy {
        user: "own".to_owned(),
        edit: ProxyEdit::Show,
    };
    let not_found = Some(FailureCode::NotFound);
    assert_eq!(codes(&mut owner, choices()).await, not_allowed);
    assert_eq!(codes(&mut owner, vec![show()]).await, [not_found]);
    let edits = || choices().into_iter().take(3).collect::<Vec<_>>();
    assert_eq!(codes(&mut admin, edits()).await, [not_found; 3]);
    // A reload is in force on the connections that are open.
    let owners = "[access]\nown_proxies = \"owners\"\n";
    reload(&harness, &mut admin, owners).await;
    assert_eq!(codes(&mut owner, edits()).await, [not_found; 3]);
    reload(&harness, &mut admin, "").await;
    assert_eq!(codes(&mut owner, choices()).await, not_allowed);
}

//! Groups and target groups.

use wasessiond::protocol::{FailureCode, Phase, TargetEdit};
use wasim::Group;

use crate::stage::{PHONE, Stage};

const CHOIR: &str = "120363000000000001@g.us";
const TEAM: &str = "120363000000000002@g.us";

fn set(jids: &[&str]) -> TargetEdit {
    TargetEdit::Set(jids.iter().map(|&jid| jid.to_owned()).collect())
}

async fn targets(stage: &Stage, edit: TargetEdit) -> Vec<String> {
    let now = stage.client.targets("alice", edit).await.expect("targets");
    now.into_iter().map(String::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn are_chosen_kept_and_cleared_by_a_logout() {
    let mut stage = Stage::set().await;
    let groups = vec![Group::new(CHOIR, "Choir"), Group::new(TEAM, "Team")];
    stage.sim.set_groups(PHONE, groups).await.expect("groups");
    let device = stage.pair("alice", PHONE).await;

    let listed = stage.client.groups("alice").await.expect("groups");
    let shown: Vec<_> = listed
        .iter()
        .map(|g| (g.jid.as_str(), g.subject.as_str(), g.size))
        .collect();
    assert_eq!(shown, [(CHOIR, "Choir", 3), (TEAM, "Team", 3)]);

    assert_eq!(targets(&stage, set(&[TEAM])).await, [TEAM]);
    assert_eq!(
        targets(&stage, TargetEdit::Add(vec![CHOIR.to_owned()])).await,
        [CHOIR, TEAM]
    );
    stage.kill();
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.targets.len(), 2, "they survive a kill");
    assert_eq!(
        targets(&stage, TargetEdit::Remove(vec![CHOIR.to_owned()])).await,
        [TEAM]
    );

    stage.until("alice", Phase::Online).await;
    stage.sim.unlink(&device).await.expect("unlink");
    assert_eq!(stage.ended("alice").await.removed.targets, 1);
    stage.pair("alice", PHONE).await;
    assert_eq!(
        targets(&stage, TargetEdit::Show).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn must_be_groups_and_the_accounts_own() {
    let mut stage = Stage::set().await;
    stage
        .sim
        .set_groups(PHONE, vec![Group::new(CHOIR, "Choir")])
        .await
        .expect("groups");
    stage.pair("alice", PHONE).await;
    targets(&stage, set(&[CHOIR])).await;
    for (edit, named) in [
        (set(&[TEAM]), TEAM),
        (
            TargetEdit::Add(vec!["15550001001@s.whatsapp.net".to_owned()]),
            "15550001001@s.whatsapp.net",
        ),
        (set(&["not a jid"]), "not a jid"),
    ] {
        let refused = stage.client.targets("alice", edit).await;
        assert!(format!("{refused:?}").contains(named), "{refused:?}");
        assert_eq!(Stage::code(refused), FailureCode::InvalidArgument);
    }
    assert_eq!(
        targets(&stage, TargetEdit::Show).await,
        [CHOIR],
        "nothing was changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn need_whatsapp_only_where_something_is_added() {
    let mut stage = Stage::set().await;
    stage
        .sim
        .set_groups(PHONE, vec![Group::new(CHOIR, "Choir")])
        .await
        .expect("groups");
    stage.pair("alice", PHONE).await;
    targets(&stage, set(&[CHOIR])).await;
    stage.client.disconnect("alice").await.expect("disconnect");
    assert_eq!(
        Stage::code(stage.client.groups("alice").await),
        FailureCode::NotOnline
    );
    assert_eq!(
        Stage::code(stage.client.targets("alice", set(&[TEAM])).await),
        FailureCode::NotOnline
    );
    assert_eq!(
        targets(&stage, TargetEdit::Clear).await,
        Vec::<String>::new()
    );
    assert_eq!(
        Stage::code(stage.client.groups("bob").await),
        FailureCode::NotFound
    );
}

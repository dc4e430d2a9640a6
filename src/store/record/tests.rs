use std::path::PathBuf;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::protocol::RestrictionKind;
use crate::store::masters::Masters;

/// A session's directory.
struct Dir {
    state: tempfile::TempDir,
    masters: Masters,
    alice: UserId,
}

impl Dir {
    fn new() -> Self {
        let state = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir_all(state.path().join("sessions/alice")).expect("mkdir");
        Self {
            masters: Masters::new(state.path(), None),
            state,
            alice: "alice".parse().expect("an id"),
        }
    }

    fn path(&self) -> PathBuf {
        self.state.path().join("sessions/alice")
    }

    fn file(&self) -> PathBuf {
        self.path().join(FILE)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("read")
    }

    fn put(&self, text: &str) {
        std::fs::write(self.file(), text).expect("write");
    }

    fn save(&self, record: &Record) {
        self.with(|key| record.save(key)).expect("save");
    }

    fn read(&self) -> Result<Record, StoreError> {
        self.with(Record::read)
    }

    fn with<T>(&self, use_it: impl FnOnce(&RecordKey<'_>) -> T) -> T {
        let (dir, masters) = (&self.path(), &self.masters);
        use_it(&RecordKey { dir, masters })
    }

    /// Why it cannot be used.
    fn refused(&self) -> String {
        match self.read() {
            Err(error @ StoreError::Unusable { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn reads_back(record: &Record) {
    let dir = Dir::new();
    dir.save(record);
    assert_eq!(&dir.read().expect("a record"), record);
}

fn start() -> Timestamp {
    "2026-11-24T09:00:00Z".parse().expect("a time")
}

/// A lock that was seen at these hours.
fn seen_at(hours: &[i64]) -> AccountLock {
    let mut lock = AccountLock::new(start());
    for hours in hours {
        lock.seen(start() + SignedDuration::from_hours(*hours), None, None);
    }
    lock
}

#[test]
fn a_lock_is_old_after_many_answers_whatever_the_clock_says() {
    let days = |hours: &[i64]| seen_at(hours).seen_for().as_secs() / 86400;
    assert_eq!(days(&[0]), 0);
    // The hours at which a daemon that is always up tries.
    let mut tries = vec![0, 1, 7];
    tries.extend((1..=14).map(|day| 7 + 24 * day));
    assert_eq!(days(&tries), 14);
    // A clock that was years behind at the first answer, and is right at the next one.
    let years = 24 * 365 * 10;
    assert_eq!(days(&[0, years, years + 6]), 2);
    assert_eq!(days(&[years, 0, 6]), 0);
    // A daemon that was off for a month.
    assert_eq!(days(&[0, 24 * 30]), 2);
}

#[test]
fn a_lock_waits_longer_and_longer() {
    let mut lock = AccountLock::new(start());
    let waits = [(); 4].map(|()| {
        lock.seen(start(), None, None);
        lock.wait().as_secs() / 3600
    });
    assert_eq!(waits, [1, 6, 24, 24]);
}

#[test]
fn a_token_is_kept_when_whatsapp_does_not_repeat_it() {
    let mut lock = AccountLock::new(start());
    lock.seen(start(), Some("locked".to_owned()), Some("once".into()));
    lock.seen(start(), None, None);
    lock.begin_anew();
    lock.seen(start(), None, None);
    assert_eq!(lock.text.as_deref(), Some("locked"));
    let mut again = lock.clone();
    again.seen(start(), Some("appeal with once".to_owned()), None);
    assert_eq!(again.text.as_deref(), Some("appeal with [token]"));
    let token = lock.appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!((token, lock.answers), (Some("once"), 1));
    assert!(!format!("{lock:?}").contains("once"));
    let mut record = Record::new(0);
    record.lock = Some(lock);
    reads_back(&record);
}

proptest! {
    /// Seven answers are never enough, however the clock is set between them.
    #[test]
    fn few_answers_never_make_a_lock_old(hours in prop::collection::vec(-200_000i64..200_000, 0..8)) {
        let lock = seen_at(&hours);
        prop_assert!(lock.seen_for() < Duration::from_hours(14 * 24));
    }
}

/// A file as version 0.1.0 wrote it. It must load for ever.
const SAMPLE: &str = r#"
version = 1
owner = 1000
created_at = "2026-11-24T09:00:00Z"
desired = "down"
last_activity = "2026-11-24T09:10:00Z"
targets = ["120363012345678901@g.us"]

[account]
jid = "15550100999:7@s.whatsapp.net"
phone = "+15550100999"
name = "Alice"

[hold]
cause = "temporary_ban"
until = "2026-11-25T09:00:00Z"
error = "too many messages"
"#;

#[test]
fn the_sample_loads_and_reads_back() {
    let record = Record::parse(SAMPLE).expect("the sample");
    assert_eq!(record.owner, 1000);
    assert_eq!(record.desired, Desired::Down);
    assert_eq!(
        record.account.as_ref().and_then(|a| a.name.as_deref()),
        Some("Alice")
    );
    assert_eq!(
        record.hold.as_ref().map(|h| h.cause),
        Some(Cause::TemporaryBan)
    );
    reads_back(&record);
}

#[test]
fn what_is_not_known_is_refused() {
    let known = toml::to_string(&Record::new(0)).expect("write");
    let newer = known.replace("version = 3", "version = 4");
    let why = Record::parse(&newer).expect_err("a newer version");
    assert!(why.contains("start the newer one again"), "{why}");
    let more = format!("colour = \"blue\"\n{known}");
    let why = Record::parse(&more).expect_err("a field of another version");
    assert!(why.contains("unknown field `colour`"), "{why}");
}

#[test]
fn a_proxy_reads_back() {
    for (said, choice) in [
        ("none", ProxyChoice::Direct),
        (
            "socks5://me:pw@proxy:1",
            ProxyChoice::Url("socks5://me:pw@proxy:1".into()),
        ),
    ] {
        let text = format!("proxy = \"{said}\"\n{SAMPLE}");
        let record = Record::parse(&text).expect("a record");
        assert_eq!(record.proxy, Some(choice));
        reads_back(&record);
    }
}

/// Whatever is wrong with the file goes into the status and into the log.
#[test]
fn what_is_wrong_is_told_without_a_password() {
    for proxy in [
        "proxy = \"http://me:secret@proxy",
        "proxy = http://me:secret@proxy",
        "proxies = \"http://me:secret@proxy\"",
        "proxy = [\"http://me:secret@proxy\"]",
        "proxy = \"http://me:secret@proxy\"\nproxy = \"http://me:secret@proxy\"",
    ] {
        let why = Record::parse(&format!("{proxy}\n{SAMPLE}")).expect_err(proxy);
        assert!(why.starts_with("line ") && !why.contains("secret"), "{why}");
    }
}

#[test]
fn a_new_record_reads_back() {
    let mut record = Record::new(0);
    reads_back(&record);
    record.account = Some(Account {
        jid: "15550100999:7@s.whatsapp.net".to_owned(),
        phone: "+15550100999".to_owned(),
        name: None,
    });
    record.phone_heard = Some(Timestamp::UNIX_EPOCH);
    record.showed_up = Some(Timestamp::UNIX_EPOCH);
    record.settings_missing = Some(Timestamp::UNIX_EPOCH);
    let restriction = Restriction {
        kind: RestrictionKind::ReachoutTimelock,
        since: Timestamp::UNIX_EPOCH,
        until: None,
        detail: Some("RESTRICT_ALL_COMPANIONS".to_owned()),
    };
    record.restrictions = vec![restriction; 2];
    reads_back(&record);
    // Each key can be named where it is wrong.
    let Record {
        version: _,
        is_stand_in: _,
        is_way_unknown: _,
        form: _,
        owner: _,
        created_at: now,
        desired: _,
        account: _,
        restrictions: _,
        phone_heard: _,
        showed_up: _,
        settings_missing: _,
        user,
        last_activity,
        login_open_until,
        linked_at,
        expect,
        hold,
        lock,
        targets,
        proxy,
        own_proxy,
        sealed,
    } = &mut record;
    *targets = vec!["120363012345678901@g.us".parse().expect("a JID")];
    (*own_proxy, *sealed) = (true, Some("sealed".to_owned()));
    *user = Some("alice".parse().expect("an id"));
    *expect = Some("+15550100999".parse().expect("a number"));
    *hold = Some(Hold {
        cause: Cause::AccountLocked,
        until: None,
        error: None,
    });
    *lock = Some(AccountLock::new(*now));
    *proxy = Some(ProxyChoice::Direct);
    for time in [last_activity, login_open_until, linked_at] {
        *time = Some(*now);
    }
    let written = toml::Table::try_from(&record).expect("a table");
    let mut known = KEYS.to_vec();
    known.sort_unstable();
    let written: Vec<_> = written.keys().map(String::as_str).collect();
    assert_eq!(written, known);
}

/// A record with everything in it that is to be sealed, and each of it as a person would find it.
fn telling() -> (Record, [&'static str; 9]) {
    let mut record = Record::parse(SAMPLE).expect("the sample");
    record.expect = Some("+15550100998".parse().expect("a number"));
    let mut lock = AccountLock::new(start());
    lock.seen(
        start(),
        Some("Open WhatsApp".to_owned()),
        Some("token-4711".into()),
    );
    record.lock = Some(lock);
    record.restrictions = vec![Restriction {
        kind: RestrictionKind::NewChatLimit,
        since: start(),
        until: None,
        detail: Some("12 of 30".to_owned()),
    }];
    record.proxy = Some(ProxyChoice::Url("http://me:pw@proxy.example:1".into()));
    let secrets = [
        "15550100999",
        "Alice",
        "15550100998",
        "120363012345678901",
        "too many messages",
        "Open WhatsApp",
        "token-4711",
        "12 of 30",
        "proxy.example",
    ];
    (record, secrets)
}

#[test]
fn what_names_anybody_is_sealed_and_the_rest_can_be_read() {
    let dir = Dir::new();
    let (record, secrets) = telling();
    dir.save(&record);
    let text = dir.text();
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for shown in [
        "owner = 1000",
        "desired = \"down\"",
        "cause = \"temporary_ban\"",
        "until = \"2026-11-25",
        "answers = 1",
        "own_proxy = true",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert_eq!(dir.read().expect("a record"), record);
    // Nothing to seal, no key.
    let bare = Dir::new();
    bare.save(&Record::new(0));
    assert!(!bare.text().contains("sealed") && !bare.path().join("key").exists());
}

#[test]
fn a_record_that_does_not_open_is_refused_and_left_and_is_its_owners() {
    let dir = Dir::new();
    let (record, _) = telling();
    dir.save(&record);
    let text = dir.text();
    let sealed = text
        .split('"')
        .find(|part| part.len() > 200)
        .expect("a sealed part");
    let at = sealed.len() / 2;
    let other = if &sealed[at..=at] == "A" { "B" } else { "A" };
    let flipped = sealed[..at].to_owned() + other + &sealed[at + 1..];
    let (short, swapped) = (&sealed[..at - at % 4], Dir::new());
    swapped.save(&record);
    for (what, damaged) in [
        ("a flipped bit", text.replace(sealed, &flipped)),
        ("cut off", text.replace(sealed, short)),
        ("empty", text.replace(sealed, "")),
        ("another session's", swapped.text()),
    ] {
        dir.put(&damaged);
        let why = dir.refused();
        assert!(
            why.contains("session's key") && why.contains("alice/key"),
            "{what}: {why}"
        );
        assert_eq!(dir.text(), damaged, "{what}");
        let stand_in = Record::stand_in_for(&dir.path());
        assert!(stand_in.is_stand_in && stand_in.is_way_unknown, "{what}");
        assert_eq!((stand_in.owner, stand_in.account), (1000, None), "{what}");
    }
    dir.put(&text);
    assert_eq!(dir.read().expect("it is whole"), record);
    // A session without a proxy of its own, whatever else is sealed.
    dir.save(&Record {
        proxy: None,
        ..record
    });
    assert!(!Record::stand_in_for(&dir.path()).is_way_unknown);
}

#[test]
fn a_missing_or_wrong_key_is_named_and_a_key_that_is_back_heals() {
    let dir = Dir::new();
    let (record, _) = telling();
    dir.save(&record);
    let text = dir.text();
    let master = dir.state.path().join("key");
    let aside = dir.state.path().join("aside");
    for (key, words) in [
        (&dir.path().join("key"), "the session's key"),
        (&master, "is missing: neither the credential"),
    ] {
        std::fs::rename(key, &aside).expect("take it away");
        let restarted = Dir {
            masters: Masters::new(dir.state.path(), None),
            state: tempfile::tempdir().expect("tempdir"),
            alice: dir.alice.clone(),
        };
        let (of, masters) = (&dir.path(), &restarted.masters);
        let read = Record::read(&RecordKey { dir: of, masters });
        let why = read.expect_err("no key").to_string();
        assert!(why.contains(words) && why.contains("session.toml"), "{why}");
        assert!(!key.exists(), "it is not made anew");
        std::fs::rename(&aside, key).expect("give it back");
        let read = Record::read(&RecordKey { dir: of, masters });
        assert_eq!(read.expect("it heals"), record);
    }
    assert_eq!(dir.text(), text);
    // No other key is made beside a vault that only the missing one opens.
    std::fs::rename(dir.path().join("key"), &aside).expect("take it away");
    std::fs::write(dir.path().join("vault.db"), "values").expect("write");
    let refused = dir.with(|key| record.save(key)).expect_err("no key");
    assert!(refused.to_string().contains("it is missing"), "{refused}");
    assert!(!dir.path().join("key").exists() && dir.text() == text);
    std::fs::rename(&aside, dir.path().join("key")).expect("give it back");
    // Nothing is written in clear for want of a key.
    std::fs::write(dir.path().join("key"), "no key").expect("write");
    dir.with(|key| record.save(key))
        .expect_err("it cannot be sealed");
    assert_eq!(dir.text(), text);
}

#[test]
fn a_record_in_clear_is_sealed_and_its_bytes_are_destroyed() {
    let dir = Dir::new();
    dir.put(SAMPLE);
    let mut old = std::fs::File::open(dir.file()).expect("open");
    let mut record = dir.read().expect("the sample");
    assert!(record.form == Form::InClear && Record::may_lie_in_clear(&dir.path()));
    assert_eq!(dir.text(), SAMPLE, "reading changes nothing");
    dir.with(|key| record.seal_file(key)).expect("sealed");
    assert!(record.form == Form::Sealed && !Record::may_lie_in_clear(&dir.path()));
    assert!(!dir.text().contains("15550100999"));
    assert_eq!(dir.read().expect("a record"), record);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut old, &mut bytes).expect("read");
    assert!(
        bytes.len() == SAMPLE.len() && bytes != SAMPLE.as_bytes(),
        "it is noise"
    );
    // What an operator writes beside the sealed part is taken, and sealed, too.
    dir.put(&format!("proxy = \"none\"\n{}", dir.text()));
    let mut edited = dir.read().expect("a record");
    assert_eq!(edited.proxy, Some(ProxyChoice::Direct));
    assert_eq!(edited.account, record.account);
    dir.with(|key| edited.seal_file(key)).expect("sealed");
    assert_eq!(dir.read().expect("a record"), edited);
    assert!(!dir.text().contains("\"none\""));
}

fn records() -> impl Strategy<Value = Record> {
    let text = || prop::option::of(".{0,40}");
    let proxy = prop_oneof![
        Just(None),
        Just(Some(ProxyChoice::Direct)),
        ".{0,40}".prop_map(|url| Some(ProxyChoice::from(url))),
    ];
    let account = prop::option::of((".{0,20}", ".{0,20}", text()));
    let targets = prop::collection::vec("[1-9][0-9]{5,17}@g\\.us", 0..5);
    let lock = prop::option::of((text(), text()));
    let hold = prop::option::of(text());
    (proxy, account, targets, lock, hold, any::<u32>()).prop_map(
        |(proxy, account, targets, lock, hold, owner)| {
            let mut record = Record::new(owner);
            record.proxy = proxy;
            record.account = account.map(|(jid, phone, name)| Account { jid, phone, name });
            let targets = targets.iter().map(|jid| jid.parse().expect("a JID"));
            record.targets = targets.collect();
            record.lock = lock.map(|(text, token)| AccountLock {
                text,
                appeal_token: token.map(Redacted::from),
                ..AccountLock::new(start())
            });
            record.hold = hold.map(|error| Hold {
                cause: Cause::TemporaryBan,
                until: None,
                error,
            });
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_reads_back(record in records()) {
        reads_back(&record);
    }
}

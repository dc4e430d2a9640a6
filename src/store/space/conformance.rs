//! What every implementation of [`Space`] must do. A test of an implementation calls [`all`], and
//! [`survives`] with what it has reopened.

use std::sync::Arc;

use futures_util::future::join_all;

use super::*;

const A: Kind = Kind(1);
const B: Kind = Kind(2);
/// Its range ends where no kind begins.
const LAST: Kind = Kind(255);

fn place(kind: Kind, group: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Place {
    Place::new(kind, group, name)
}

fn put(place: &Place, value: impl AsRef<[u8]>) -> Change {
    Change::Put(place.clone(), value.as_ref().to_vec())
}

async fn commit(space: &dyn Space, durability: Durability, changes: Vec<Change>) {
    let batch = Batch {
        changes,
        durability,
    };
    space.commit(batch).await.expect("a commit");
}

async fn make(space: &dyn Space, changes: Vec<Change>) {
    commit(space, Durability::Synced, changes).await;
}

async fn get(space: &dyn Space, place: &Place) -> Option<Vec<u8>> {
    space.get(place).await.expect("an answer")
}

/// A list, in order.
async fn list(space: &dyn Space, kind: Kind, group: Option<&[u8]>) -> Vec<(Place, Vec<u8>)> {
    let mut values = space.list(kind, group).await.expect("a list");
    values.sort_by(|(a, _), (b, _)| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    values
}

async fn clear(space: &dyn Space) {
    let kinds = [A, B, LAST].map(Change::DeleteKind);
    make(space, kinds.to_vec()).await;
}

/// All that can be seen without reopening. The space is empty before and after it.
pub(crate) async fn all(space: Arc<dyn Space>) {
    values(&*space).await;
    clear(&*space).await;
    lists(&*space).await;
    clear(&*space).await;
    order(&*space).await;
    clear(&*space).await;
    large(&*space).await;
    clear(&*space).await;
    together(Arc::clone(&space)).await;
    clear(&*space).await;
}

async fn values(space: &dyn Space) {
    // Places that are different, however alike they look when they are joined.
    let places = [
        place(A, "", ""),
        place(A, "", "a"),
        place(A, "a", ""),
        place(A, "a", "a"),
        place(A, "aa", ""),
        place(A, "a", [0]),
        place(A, [0], "a"),
        place(A, [0xff; 40], [0xff; 70]),
        place(A, [0xff, 0], [0, 0xff]),
        place(B, "", ""),
        place(B, "a", "a"),
        place(LAST, [0xff], [0xff]),
    ];
    for one in &places {
        assert_eq!(get(space, one).await, None, "{one:?}");
    }
    let value = |n: usize| vec![u8::try_from(n).expect("few"); n];
    let puts = places.iter().enumerate().map(|(n, one)| put(one, value(n)));
    make(space, puts.collect()).await;
    for (n, one) in places.iter().enumerate() {
        // The first value is empty, and not absent.
        assert_eq!(get(space, one).await, Some(value(n)), "{one:?}");
    }
    let mut asked: Vec<_> = places.iter().rev().cloned().collect();
    asked.insert(3, place(B, "nobody", ""));
    asked.push(places[2].clone());
    let mut expected: Vec<_> = (0..places.len()).rev().map(|n| Some(value(n))).collect();
    expected.insert(3, None);
    expected.push(Some(value(2)));
    let many = space.get_many(&asked).await.expect("an answer");
    assert_eq!(many, expected);
    assert_eq!(space.get_many(&[]).await.expect("nothing"), Vec::new());

    commit(space, Durability::Eventual, vec![put(&places[3], "other")]).await;
    make(space, vec![Change::Delete(places[4].clone())]).await;
    make(space, vec![Change::Delete(places[4].clone())]).await;
    make(space, vec![]).await;
    assert_eq!(get(space, &places[3]).await, Some(b"other".to_vec()));
    assert_eq!(get(space, &places[4]).await, None);
    assert_eq!(get(space, &places[5]).await, Some(value(5)));
}

async fn lists(space: &dyn Space) {
    assert_eq!(list(space, A, None).await, []);
    let group = |group: &[u8], names: &[&[u8]]| -> Vec<(Place, Vec<u8>)> {
        let value = |name: &&[u8]| (place(A, group, name), [group, *name].concat());
        names.iter().map(value).collect()
    };
    let none = group(b"", &[b"", b"x"]);
    let chat = group(b"chat", &[b"", b"a", b"b", &[0xff, 0xff]]);
    let chats = group(b"chats", &[b"a"]);
    let high = group(&[0xff, 0xff], &[b"a"]);
    let all = [&none[..], &chat, &chats, &high].concat();
    let mut puts: Vec<_> = all.iter().map(|(place, value)| put(place, value)).collect();
    puts.push(put(&place(B, "chat", "a"), "of B"));
    puts.push(put(&place(LAST, "chat", "a"), "of the last"));
    make(space, puts).await;
    assert_eq!(list(space, A, None).await, all);
    for (name, values) in [(&b""[..], &none), (b"chat", &chat), (b"chats", &chats)] {
        assert_eq!(list(space, A, Some(name)).await, *values);
    }
    assert_eq!(list(space, A, Some(&[0xff, 0xff])).await, high);
    assert_eq!(list(space, A, Some(b"cha")).await, []);
    assert_eq!(list(space, LAST, None).await.len(), 1);

    make(space, vec![Change::DeleteGroup(A, Box::default())]).await;
    assert_eq!(list(space, A, None).await, all[none.len()..]);
    make(space, vec![Change::DeleteGroup(A, b"chat"[..].into())]).await;
    assert_eq!(list(space, A, None).await, [&chats[..], &high].concat());
    make(space, vec![Change::DeleteGroup(A, b"nobody"[..].into())]).await;
    make(space, vec![Change::DeleteKind(A)]).await;
    assert_eq!(list(space, A, None).await, []);
    assert_eq!(list(space, B, None).await.len(), 1);
    make(space, vec![Change::DeleteKind(LAST)]).await;
    assert_eq!(list(space, LAST, None).await, []);
    assert_eq!(list(space, B, Some(b"chat")).await.len(), 1);
}

/// A later change of a batch sees what an earlier one did.
async fn order(space: &dyn Space) {
    let [one, two, other] = [
        place(A, "g", "one"),
        place(A, "g", "two"),
        place(A, "h", "one"),
    ];
    make(space, vec![put(&one, "1"), put(&one, "2")]).await;
    assert_eq!(get(space, &one).await, Some(b"2".to_vec()));
    make(space, vec![put(&two, "1"), Change::Delete(two.clone())]).await;
    assert_eq!(get(space, &two).await, None);
    make(space, vec![Change::Delete(one.clone()), put(&one, "3")]).await;
    assert_eq!(get(space, &one).await, Some(b"3".to_vec()));
    let of_group = Change::DeleteGroup(A, b"g"[..].into());
    make(space, vec![put(&other, "o"), of_group, put(&two, "4")]).await;
    let expected = [(two.clone(), b"4".to_vec()), (other.clone(), b"o".to_vec())];
    assert_eq!(list(space, A, None).await, expected);
    let changes = vec![
        put(&one, "5"),
        Change::DeleteKind(A),
        put(&other, "6"),
        put(&place(B, "g", ""), "b"),
    ];
    make(space, changes).await;
    assert_eq!(list(space, A, None).await, [(other, b"6".to_vec())]);
    assert_eq!(list(space, B, None).await.len(), 1);
}

async fn large(space: &dyn Space) {
    let mebibyte: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let (one, name) = (
        place(A, "large", "one"),
        place(A, vec![7; 5000], vec![8; 5000]),
    );
    make(space, vec![put(&one, &mebibyte), put(&name, "long")]).await;
    assert!(get(space, &one).await == Some(mebibyte.clone()));
    assert_eq!(get(space, &name).await, Some(b"long".to_vec()));
    let shorter = &mebibyte[..300_000];
    make(space, vec![put(&one, shorter)]).await;
    assert!(list(space, A, Some(b"large")).await == [(one.clone(), shorter.to_vec())]);
    make(space, vec![Change::Delete(one.clone())]).await;
    assert_eq!(get(space, &one).await, None);
}

/// Whoever reads beside commits sees each of them as a whole or not at all.
async fn together(space: Arc<dyn Space>) {
    let pair = [place(A, "pair", "left"), place(A, "pair", "right")];
    make(&*space, pair.iter().map(|one| put(one, [0])).collect()).await;
    let write = |n: u8| {
        let (space, pair) = (Arc::clone(&space), pair.clone());
        tokio::spawn(async move {
            let own = put(&place(B, "own", [n]), [n]);
            let changes = vec![put(&pair[0], [n]), own, put(&pair[1], [n])];
            let durability = match n % 2 {
                0 => Durability::Synced,
                _ => Durability::Eventual,
            };
            commit(&*space, durability, changes).await;
        })
    };
    let read = || {
        let (space, pair) = (Arc::clone(&space), pair.clone());
        tokio::spawn(async move {
            let values = space.get_many(&pair).await.expect("an answer");
            assert_eq!(values[0], values[1]);
            let listed = space.list(A, Some(b"pair")).await.expect("a list");
            assert_eq!(listed.len(), 2);
            assert_eq!(listed[0].1, listed[1].1);
        })
    };
    let tasks = (0..20).flat_map(|n| [write(n), read()]);
    for done in join_all(tasks.collect::<Vec<_>>()).await {
        done.expect("no panic");
    }
    assert_eq!(list(&*space, B, None).await.len(), 20);
}

/// What was committed is there after a close, whatever its durability.
pub(crate) async fn survives(space: &dyn Space, reopened: impl AsyncFnOnce() -> Arc<dyn Space>) {
    let [synced, eventual] = [place(A, "g", "synced"), place(LAST, "", "eventual")];
    make(space, vec![put(&synced, "s")]).await;
    commit(space, Durability::Eventual, vec![put(&eventual, "e")]).await;
    let space = reopened().await;
    assert_eq!(get(&*space, &synced).await, Some(b"s".to_vec()));
    assert_eq!(get(&*space, &eventual).await, Some(b"e".to_vec()));
    clear(&*space).await;
}

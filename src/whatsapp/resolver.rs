//! Looks up the names of hosts, in a room of their own: a name server that never answers holds up nothing
//! else.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::blocking::Room;

/// The addresses of a name, or why there are none.
type Found = Result<Arc<[SocketAddr]>, Arc<str>>;

type LookUp = Shared<BoxFuture<'static, Found>>;
type WeakLookUp = WeakShared<BoxFuture<'static, Found>>;

/// Looks up names of hosts. Clones share their look-ups.
#[derive(Clone)]
pub(super) struct Resolver {
    room: Room,
    /// Look-ups that somebody waits for: a thousand sessions that need the same name share one.
    under_way: Arc<Mutex<HashMap<(String, u16), WeakLookUp>>>,
}

impl Resolver {
    /// A resolver whose look-ups are made in this room.
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            under_way: Arc::default(),
        }
    }

    /// The addresses of a host, in the order in which they are to be tried.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> Found {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        let room = self.room.clone();
        self.shared(host, port, |host| async move {
            let name = (host, port);
            room.run(move || match name.to_socket_addrs() {
                Ok(addresses) => Ok(addresses.collect()),
                Err(e) => Err(e.to_string().into()),
            })
            .await
        })
        .await
    }

    /// A look-up that is under way for this name, or a new one. A look-up that nobody waits for any more is
    /// given up.
    fn shared<F>(&self, host: &str, port: u16, begin: impl FnOnce(String) -> F) -> LookUp
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, look_up| look_up.upgrade().is_some());
        let name = (host.to_owned(), port);
        if let Some(look_up) = under_way.get(&name).and_then(WeakShared::upgrade) {
            return look_up;
        }
        let look_up = begin(name.0.clone()).boxed().shared();
        if let Some(weak) = look_up.downgrade() {
            under_way.insert(name, weak);
        }
        look_up
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn addresses_need_no_look_up_and_names_get_one() {
        let resolver = Resolver::new(Room::new("resolver", 1));
        for (host, address) in [("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7")] {
            let found = resolver.look_up(host, 7).await.expect("an address");
            assert_eq!(*found, [address.parse().expect("an address")]);
        }
        let found = resolver.look_up("localhost", 7).await.expect("a name");
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        let why = resolver.look_up("no such name", 7).await;
        assert!(!why.expect_err("no name").is_empty());
    }

    #[tokio::test]
    async fn who_wants_the_same_name_shares_its_look_up() {
        let resolver = Resolver::new(Room::new("resolver", 1));
        let made = Arc::new(AtomicUsize::new(0));
        let begin = |_| {
            let made = Arc::clone(&made);
            async move {
                made.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Err("none".into())
            }
        };
        let (first, second) = (
            resolver.shared("a", 1, begin),
            resolver.shared("a", 1, begin),
        );
        let other = resolver.shared("b", 1, begin);
        let _ = tokio::join!(first, second, other);
        assert_eq!(made.load(Ordering::SeqCst), 2);
        // It is over, and whoever comes later asks anew.
        let _ = resolver.shared("a", 1, begin).await;
        assert_eq!(made.load(Ordering::SeqCst), 3);
        assert!(resolver.shared("c", 1, begin).downgrade().is_some());
        drop(resolver.shared("d", 1, begin));
        assert_eq!(resolver.under_way.lock().expect("no panic").len(), 1);
    }
}

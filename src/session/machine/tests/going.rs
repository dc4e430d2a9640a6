//! The table where a session is being removed, or can only be removed.

use super::scene::Scene;
use super::table::Column;

pub(super) const GOING: &[Column] = &[
    (
        Scene::LoggingOut,
        "
connect                 | noted
connect by code         | noted
connect, expecting      | noted
connect, own proxy      | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | noted
stop                    | noted
due                     | purge_failed (unlinked): tell purge_failed
closed                  | remove
closed: not in time     | purge_failed (unlinked): tell purge_failed
",
    ),
    (
        Scene::Unlinking,
        "
connect                 | noted
connect by code         | noted
connect, expecting      | noted
connect, own proxy      | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | noted
stop                    | noted
due                     | purge_failed (force_logout): tell purge_failed, refuse: purge_failed
unlinked                | cut
",
    ),
    (
        Scene::Removing,
        "
connect                 | noted
connect by code         | noted
connect, expecting      | noted
connect, own proxy      | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | noted
stop                    | noted
due                     | purge_failed (unlinked): tell purge_failed
removed                 | end, logged out
removed: failed         | purge_failed (unlinked): tell purge_failed
",
    ),
    (
        Scene::RemovalFailed,
        "
connect                 | logging_out (unlinked): tell logging_out, cut
connect by code         | logging_out (unlinked): tell logging_out, cut
connect, expecting      | logging_out (unlinked): tell logging_out, cut
connect, own proxy      | logging_out (unlinked): tell logging_out, cut
disconnect              | logging_out (unlinked): tell logging_out, cut
force-logout            | logging_out (unlinked): tell logging_out, cut
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | refuse: purge_failed
targets, added          | refuse: purge_failed
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | refuse: purge_failed
stop                    | end, stopped
due                     | logging_out (unlinked): tell logging_out, cut
",
    ),
    (
        Scene::StoreCorrupt,
        "
connect                 | look
connect by code         | look
connect, expecting      | look
connect, own proxy      | look
disconnect              | answer status
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | refuse: store_corrupt
targets, added          | refuse: store_corrupt
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | refuse: store_corrupt
stop                    | noted
version changed         | noted
saved                   | answer status
saved: failed           | answer status
",
    ),
];

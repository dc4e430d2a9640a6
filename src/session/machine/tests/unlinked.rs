//! The table where there is no link, and the session stays.

use super::scene::Scene;
use super::table::Column;

pub(super) const UNLINKED: &[Column] = &[
    (
        Scene::BackingOff,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | connecting: save, tell connecting, open
stop                    | save
due                     | connecting: tell connecting, open
",
    ),
    (
        Scene::BackingOffToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | connecting: save, tell connecting, open
connect, own proxy      | refuse: invalid_argument
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | connecting: save, tell connecting, open
stop                    | save
due                     | connecting: tell connecting, open
",
    ),
    (
        Scene::Outdated,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | connecting: save, tell connecting, open
stop                    | save
version changed         | tell updated
due                     | connecting: tell connecting, open
",
    ),
    (
        Scene::Unread,
        "
connect                 | look
connect by code         | look
connect, expecting      | look
connect, own proxy      | look
disconnect              | refuse: store_failed
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | refuse: store_failed
targets, cleared        | refuse: store_failed
targets, added          | refuse: store_failed
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | refuse: store_failed
proxy, changed          | refuse: store_failed
stop                    | end, stopped
due                     | look
",
    ),
    (
        Scene::Held,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, tell updated
stop                    | save
due                     | connecting: save, tell connecting, open
",
    ),
    (
        Scene::Locked,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, tell updated
stop                    | save
due                     | connecting: save, tell connecting, open
",
    ),
    (
        Scene::Parked,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, tell updated
stop                    | save
",
    ),
    (
        Scene::ParkedToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
connect, expecting      | connecting: save, tell connecting, open
connect, own proxy      | refuse: invalid_argument
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, tell updated
stop                    | save
due                     | logging_out (refused_409): tell logging_out, unlink if just paired
",
    ),
    (
        Scene::Disconnected,
        "
connect                 | connecting: desired up, save, tell connecting, open
connect by code         | connecting: desired up, save, tell connecting, open
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | answer status
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, tell updated
stop                    | save
",
    ),
];

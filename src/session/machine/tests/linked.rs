//! The table where a link is open or being opened.

use super::scene::Scene;
use super::table::Column;

pub(super) const LINKED: &[Column] = &[
    (
        Scene::Connecting,
        "
connect                 | noted
connect by code         | noted
disconnect              | disconnected: wanted down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
stage                   | tell connecting
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | refuse the code
too many pair codes     | refuse the code
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: tell online
name                    | save, tell updated
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | backing_off (stuck): tell backing_off, close
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::ConnectingToPair,
        "
connect                 | noted
connect by code         | noted
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
stage                   | tell connecting
qr                      | awaiting_scan: tell qr
qr exhausted            | logging_out (pairing_expired): tell logging_out, purge
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | logging_out (refused): refuse the code, tell logging_out, purge
too many pair codes     | logging_out (rate_limited): refuse the code, tell logging_out, purge
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
name                    | nothing
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | backing_off (stuck): tell backing_off, close
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::ConnectingForCode,
        "
connect                 | noted
connect by code         | noted
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
stage                   | tell connecting
qr                      | ask a code for +15550100991
qr exhausted            | nothing
ready for a pair code   | ask a code for +15550100991
pair code               | awaiting_code: tell pair_code
pair code stale         | ask a code for +15550100991
pair code refused       | logging_out (refused): refuse the code, tell logging_out, purge
too many pair codes     | logging_out (rate_limited): refuse the code, tell logging_out, purge
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
name                    | nothing
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | backing_off (stuck): tell backing_off, close
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::AwaitingScan,
        "
connect                 | noted
connect by code         | ask a code for +15550100997
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
stage                   | connecting: tell connecting
qr                      | tell qr
qr exhausted            | logging_out (pairing_expired): tell logging_out, purge
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | logging_out (refused): refuse the code, tell logging_out, purge
too many pair codes     | logging_out (rate_limited): refuse the code, tell logging_out, purge
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
name                    | nothing
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | backing_off (stuck): tell backing_off, close
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::AwaitingCode,
        "
connect                 | noted
connect by code         | connecting: tell connecting, ask a code for +15550100997
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
stage                   | connecting: tell connecting
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | ask a code for +15550100991
pair code               | tell pair_code
pair code stale         | ask a code for +15550100991
pair code refused       | logging_out (refused): refuse the code, tell logging_out, purge
too many pair codes     | logging_out (rate_limited): refuse the code, tell logging_out, purge
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
name                    | nothing
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | logging_out (pairing_expired): tell logging_out, purge
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::Online,
        "
connect                 | noted
connect by code         | noted
disconnect              | disconnected: wanted down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
stage                   | connecting: tell connecting
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | refuse the code
too many pair codes     | refuse the code
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | tell online
name                    | save, tell updated
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, purge
ended: conflict, logout | logging_out (replaced): tell logging_out, purge
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: park             | parked (client_outdated): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting, open
ended: retry            | backing_off (connection_lost): tell backing_off, close
ended: retry late       | backing_off (rate_limited): tell backing_off, close
corrupt                 | store_corrupt: tell store_corrupt
unavailable             | backing_off (store_failed): tell backing_off, close
due, too early          | nothing
due                     | disconnected (idle): wanted down, close, save, tell disconnected
targets                 | save, tell targets
purge failed            | nothing
",
    ),
];

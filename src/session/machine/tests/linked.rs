//! The table where a link is open, or is to be opened as soon as the last one has ended.

use super::scene::Scene;
use super::table::Column;

pub(super) const LINKED: &[Column] = &[
    (
        Scene::Connecting,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | save, close, tell connecting
stop                    | close, save
stage                   | tell connecting
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: tell online, save
name                    | save, tell updated
activity                | noted
phone heard             | save
limit reached           | save, tell restrictions
limit near              | tell warnings
settings missing        | save, tell warnings
ended: wipe             | logging_out (unlinked): tell logging_out, cut
ended: conflict, logout | logging_out (replaced): tell logging_out, cut
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | held (account_locked): save, tell held, close
ended: locked, logout   | logging_out (account_locked): tell logging_out, cut
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | backing_off (stuck): close, tell backing_off
",
    ),
    (
        Scene::ConnectingToPair,
        "
connect                 | answer status
connect by code         | noted
connect, expecting      | save
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
proxy, changed          | save, close, tell connecting
stop                    | close, save
stage                   | tell connecting
qr                      | awaiting_scan: tell qr
qr exhausted            | logging_out (pairing_expired): tell logging_out, unlink if just paired
ready for a pair code   | noted
passkey announced       | awaiting_scan (passkey_required): tell passkey
passkey wanted          | awaiting_scan (passkey_required): tell passkey
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (replaced): tell logging_out, unlink if just paired
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | logging_out (account_locked): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (account_locked): tell logging_out, unlink if just paired
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | backing_off (stuck): close, tell backing_off
",
    ),
    (
        Scene::ConnectingForCode,
        "
connect                 | answer status
connect by code         | noted
connect, expecting      | refuse: invalid_argument
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
proxy, changed          | save, close, tell connecting
stop                    | close, save
stage                   | tell connecting
qr                      | ask a code for +15550100991
ready for a pair code   | ask a code for +15550100991
pair code stale         | ask a code for +15550100991
passkey announced       | awaiting_code (passkey_required): tell passkey
passkey wanted          | awaiting_code (passkey_required): tell passkey
paired                  | save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (replaced): tell logging_out, unlink if just paired
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | logging_out (account_locked): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (account_locked): tell logging_out, unlink if just paired
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | backing_off (stuck): close, tell backing_off
",
    ),
    (
        Scene::Reconnecting,
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
proxy, changed          | save, tell connecting
stop                    | save
closed                  | open
closed: not in time     | open
",
    ),
    (
        Scene::AwaitingScan,
        "
connect                 | answer status
connect by code         | ask a code for +15550100997
connect, expecting      | save
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
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
stage                   | connecting: tell connecting
qr                      | tell qr
qr exhausted            | logging_out (pairing_expired): tell logging_out, unlink if just paired
ready for a pair code   | noted
passkey announced       | tell passkey
passkey wanted          | tell passkey
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (replaced): tell logging_out, unlink if just paired
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | logging_out (account_locked): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (account_locked): tell logging_out, unlink if just paired
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | backing_off (stuck): close, tell backing_off
",
    ),
    (
        Scene::AwaitingCode,
        "
connect                 | answer status
connect by code         | connecting: tell connecting, ask a code for +15550100997
connect, expecting      | refuse: invalid_argument
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
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
stage                   | connecting: tell connecting
ready for a pair code   | ask a code for +15550100991
pair code               | tell pair_code
pair code stale         | connecting: tell connecting, ask a code for +15550100991
pair code refused       | logging_out (refused): tell logging_out, unlink if just paired
too many pair codes     | logging_out (rate_limited): tell logging_out, unlink if just paired
passkey announced       | tell passkey
passkey wanted          | tell passkey
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (unlinked): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (replaced): tell logging_out, unlink if just paired
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | logging_out (account_locked): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (account_locked): tell logging_out, unlink if just paired
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | logging_out (pairing_expired): tell logging_out, unlink if just paired
",
    ),
    (
        Scene::AwaitingPasskey,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | save
connect, own proxy      | refuse: invalid_argument
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
passkey, fetched        | answer challenge
passkey, answered       | tell passkey, answer the passkey
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
ready for a pair code   | noted
passkey announced       | tell passkey
passkey wanted          | tell passkey
passkey code            | tell passkey
passkey proof           | confirm the passkey, tell passkey
passkey failed          | tell passkey
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, park   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, hold     | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: park             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: hold             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry at once    | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry            | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry late       | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated?        | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated         | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: damaged          | logging_out (passkey_required): tell logging_out, unlink if just paired
due                     | logging_out (passkey_required): tell logging_out, unlink if just paired
",
    ),
    (
        Scene::CheckingPasskey,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | refuse: invalid_argument
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
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
passkey announced       | tell passkey
passkey wanted          | tell passkey
passkey code            | tell passkey
passkey proof           | confirm the passkey, tell passkey
passkey failed          | tell passkey
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, park   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, hold     | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: park             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: hold             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry at once    | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry            | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry late       | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated?        | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated         | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: damaged          | logging_out (passkey_required): tell logging_out, unlink if just paired
due                     | logging_out (passkey_required): tell logging_out, unlink if just paired
passkey taken           | answer status
passkey refused         | tell passkey, refuse: refused
",
    ),
    (
        Scene::ComparingCodes,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | save
connect, own proxy      | refuse: invalid_argument
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | tell passkey, confirm the passkey
proxy, shown            | answer proxy
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
ready for a pair code   | noted
passkey announced       | connecting: close, tell connecting
passkey wanted          | connecting: close, tell connecting
passkey code            | tell passkey
passkey proof           | confirm the passkey, tell passkey
passkey failed          | connecting: close, tell connecting
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | online: save, tell online
activity                | noted
ended: wipe             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, logout | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: conflict, park   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, hold     | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: locked, logout   | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: park             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: hold             | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry at once    | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry            | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: retry late       | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated?        | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: outdated         | logging_out (passkey_required): tell logging_out, unlink if just paired
ended: damaged          | logging_out (passkey_required): tell logging_out, unlink if just paired
due                     | logging_out (passkey_required): tell logging_out, unlink if just paired
",
    ),
    (
        Scene::Online,
        "
connect                 | answer status
connect by code         | answer status
connect, expecting      | refuse: wrong_account
connect, own proxy      | refuse: invalid_argument
disconnect              | disconnected: desired down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | ask for groups
targets, shown          | answer targets
targets, cleared        | save
targets, added          | ask for groups
passkey, fetched        | refuse: not_awaited
passkey, answered       | refuse: not_awaited
passkey, confirmed      | refuse: not_awaited
proxy, shown            | answer proxy
proxy, changed          | connecting: save, close, tell connecting
stop                    | close, save
stage                   | connecting: tell connecting
paired                  | connecting: save, tell paired
pair failed             | tell updated
online                  | tell online
name                    | save, tell updated
activity                | noted
phone heard             | noted
limit reached           | save, tell restrictions
limit near              | tell warnings
settings missing        | save, tell warnings
ended: wipe             | logging_out (unlinked): tell logging_out, cut
ended: conflict, logout | logging_out (replaced): tell logging_out, cut
ended: conflict, park   | parked (replaced): save, tell parked, close
ended: locked, hold     | held (account_locked): save, tell held, close
ended: locked, logout   | logging_out (account_locked): tell logging_out, cut
ended: park             | parked (refused_409): save, tell parked, close
ended: hold             | held (temporary_ban): save, tell held, close
ended: retry at once    | connecting: close, tell connecting
ended: retry            | backing_off (connection_lost): close, tell backing_off
ended: retry late       | backing_off (rate_limited): close, tell backing_off
ended: outdated?        | backing_off (client_outdated): close, tell backing_off
ended: outdated         | backing_off (client_outdated): close, tell backing_off
ended: damaged          | store_corrupt: tell store_corrupt, close
due                     | save, show up
",
    ),
];

//! The table where there is no link, and the session stays.

use super::scene::Scene;
use super::table::Column;

pub(super) const UNLINKED: &[Column] = &[
    (
        Scene::BackingOff,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | connecting: tell connecting, open
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::BackingOffToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, cut
force-logout            | logging_out (force_logout): tell logging_out, cut
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | connecting: tell connecting, open
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::Unread,
        "
connect                 | look
connect by code         | look
disconnect              | refuse: store_failed
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | refuse: store_failed
targets, cleared        | refuse: store_failed
targets, added          | refuse: store_failed
stop                    | end, stopped
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | look
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::Held,
        "
connect                 | answer status
connect by code         | answer status
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | connecting: save, tell connecting, open
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::Parked,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | disconnected: desired down, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | nothing
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::ParkedToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, cut
force-logout            | logging_out (force_logout): tell logging_out, cut
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | logging_out (pairing_expired): tell logging_out, cut
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::Disconnected,
        "
connect                 | connecting: desired up, save, tell connecting, open
connect by code         | connecting: desired up, save, tell connecting, open
disconnect              | answer status
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | save
targets, added          | refuse: not_online
stop                    | save
stage                   | nothing
qr                      | nothing
qr exhausted            | nothing
ready for a pair code   | nothing
pair code               | nothing
pair code stale         | nothing
pair code refused       | nothing
too many pair codes     | nothing
paired                  | nothing
pair failed             | nothing
online                  | nothing
name                    | nothing
activity                | nothing
ended: wipe             | nothing
ended: conflict, logout | nothing
ended: conflict, park   | nothing
ended: park             | nothing
ended: hold             | nothing
ended: retry at once    | nothing
ended: retry            | nothing
ended: retry late       | nothing
due, too early          | nothing
due                     | nothing
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | nothing
closed: not in time     | nothing
saved                   | nothing
saved: failed           | nothing
looked: a session       | nothing
looked: unusable        | nothing
looked: not now         | nothing
looked: nothing         | nothing
groups answered         | nothing
unlinked                | nothing
removed                 | nothing
removed: failed         | nothing
",
    ),
];

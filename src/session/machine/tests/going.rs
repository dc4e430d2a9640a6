//! The table where a session is being removed, or can only be removed.

use super::scene::Scene;
use super::table::Column;

pub(super) const GOING: &[Column] = &[
    (
        Scene::LoggingOut,
        "
connect                 | noted
connect by code         | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
stop                    | noted
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
due                     | purge_failed (unlinked): tell purge_failed
opened                  | nothing
opened: unusable        | nothing
opened: not now         | nothing
closed                  | remove
closed: not in time     | purge_failed (unlinked): tell purge_failed
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
        Scene::Unlinking,
        "
connect                 | noted
connect by code         | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
stop                    | noted
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
due                     | purge_failed (force_logout): tell purge_failed, refuse: purge_failed
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
unlinked                | cut
removed                 | nothing
removed: failed         | nothing
",
    ),
    (
        Scene::Removing,
        "
connect                 | noted
connect by code         | noted
disconnect              | noted
force-logout            | noted
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | noted
targets, added          | noted
stop                    | noted
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
due                     | purge_failed (unlinked): tell purge_failed
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
removed                 | end, logged out
removed: failed         | purge_failed (unlinked): tell purge_failed
",
    ),
    (
        Scene::RemovalFailed,
        "
connect                 | logging_out (unlinked): tell logging_out, cut
connect by code         | logging_out (unlinked): tell logging_out, cut
disconnect              | logging_out (unlinked): tell logging_out, cut
force-logout            | logging_out (unlinked): tell logging_out, cut
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | refuse: purge_failed
targets, added          | refuse: purge_failed
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
due                     | logging_out (unlinked): tell logging_out, cut
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
        Scene::StoreCorrupt,
        "
connect                 | look
connect by code         | look
disconnect              | answer status
force-logout            | logging_out (force_logout): tell logging_out, unlink
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | refuse: store_corrupt
targets, added          | refuse: store_corrupt
stop                    | noted
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
saved                   | answer status
saved: failed           | answer status
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

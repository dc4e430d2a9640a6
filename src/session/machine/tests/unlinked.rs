//! The table where there is no link: what one still says counts for nothing.

use super::scene::Scene;
use super::table::Column;

pub(super) const UNLINKED: &[Column] = &[
    (
        Scene::BackingOff,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | disconnected: wanted down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | connecting: tell connecting, open
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::BackingOffToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | connecting: tell connecting, open
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::Held,
        "
connect                 | noted
connect by code         | noted
disconnect              | disconnected: wanted down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | connecting: save, tell connecting, open
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::Parked,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | disconnected: wanted down, close, save, tell disconnected
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | nothing
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::ParkedToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, purge
force-logout            | logging_out (force_logout): tell logging_out, purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | logging_out (pairing_expired): tell logging_out, purge
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::Disconnected,
        "
connect                 | connecting: wanted up, save, tell connecting, open
connect by code         | connecting: wanted up, save, tell connecting, open
disconnect              | nothing
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | nothing
targets                 | save, tell targets
purge failed            | nothing
",
    ),
    (
        Scene::LoggingOut,
        "
connect                 | nothing
connect by code         | nothing
disconnect              | nothing
force-logout            | nothing
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | nothing
targets                 | nothing
purge failed            | purge_failed (unlinked): tell purge_failed
",
    ),
    (
        Scene::PurgeFailed,
        "
connect                 | logging_out (unlinked): tell logging_out, purge
connect by code         | logging_out (unlinked): tell logging_out, purge
disconnect              | logging_out (unlinked): tell logging_out, purge
force-logout            | logging_out (unlinked): tell logging_out, purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | logging_out (unlinked): tell logging_out, purge
targets                 | nothing
purge failed            | nothing
",
    ),
    (
        Scene::StoreCorrupt,
        "
connect                 | noted
connect by code         | noted
disconnect              | nothing
force-logout            | logging_out (force_logout): tell logging_out, unlink and purge
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
corrupt                 | nothing
unavailable             | nothing
due, too early          | nothing
due                     | nothing
targets                 | nothing
purge failed            | nothing
",
    ),
];

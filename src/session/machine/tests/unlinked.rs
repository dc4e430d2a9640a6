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
due                     | connecting: tell connecting, open
",
    ),
    (
        Scene::BackingOffToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
stop                    | save
due                     | connecting: tell connecting, open
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
due                     | look
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
due                     | connecting: save, tell connecting, open
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
",
    ),
    (
        Scene::ParkedToPair,
        "
connect                 | connecting: save, tell connecting, open
connect by code         | connecting: save, tell connecting, open
disconnect              | logging_out (pairing_abandoned): tell logging_out, unlink if just paired
force-logout            | logging_out (force_logout): tell logging_out, unlink if just paired
groups                  | refuse: not_online
targets, shown          | answer targets
targets, cleared        | answer targets
targets, added          | refuse: not_online
stop                    | save
due                     | logging_out (pairing_expired): tell logging_out, unlink if just paired
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
",
    ),
];

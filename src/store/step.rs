//! The steps of the disk. Each change of the disk is a step with a name, so that a rehearsal can let it
//! fail, or kill the daemon before or after it: see [`crate::failpoint`]. Otherwise a step only does its
//! work.

use std::io;

use crate::failpoint;

/// A change of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The daemon's pid, in the file `lock`.
    LockNote,
    /// The sync of the state directory at the start.
    RootSync,
    /// The directory of a new session.
    CreateDir,
    /// The sync of where it is.
    CreateSync,
    /// The bytes of a session's record, into a temporary file.
    RecordWrite,
    /// Their sync.
    RecordSync,
    /// The record takes the place of the old one.
    RecordRename,
    /// The sync of that.
    RecordSyncDir,
    /// The bytes of the fetched version of WhatsApp Web, into a temporary file.
    VersionWrite,
    /// Their sync.
    VersionSync,
    /// They take the place of the old ones.
    VersionRename,
    /// The sync of that.
    VersionSyncDir,
    /// The sync of where the intents are, before the first one ever.
    IntentSyncDir,
    /// The line of a logout's intent.
    IntentWrite,
    /// Its sync.
    IntentSync,
    /// The bytes of the intents that are still needed, into a temporary file.
    RewriteWrite,
    /// Their sync.
    RewriteSync,
    /// They take the place of all intents.
    RewriteRename,
    /// The sync of that.
    RewriteSyncDir,
    /// The session moves to the trash: the logout is committed.
    TrashRename,
    /// The sync of where it was.
    TrashSyncFrom,
    /// The sync of where it is.
    TrashSyncTo,
    /// The sync of where the history is, before its first line ever.
    HistorySyncDir,
    /// The line in the history.
    HistoryWrite,
    /// Its sync.
    HistorySync,
    /// The bytes of a shortened history, into a temporary file.
    ShortenWrite,
    /// Their sync.
    ShortenSync,
    /// The shortened history takes the place of the long one.
    ShortenRename,
    /// The sync of that.
    ShortenSyncDir,
    /// The credentials of a former layout are in the vault, and get another name.
    FormerRename,
    /// The sync of that.
    FormerSync,
    /// A key is overwritten where it is.
    Shred,
    /// A file in the trash goes.
    EraseFile,
    /// A directory in the trash goes.
    EraseDir,
    /// The sync of that.
    EraseSync,
    /// The intents are dropped: no removal is under way.
    IntentsEmpty,
    /// The bytes of a session's wrapped key, into a temporary file.
    KeyWrite,
    /// Their sync.
    KeySync,
    /// They take the place of the old ones.
    KeyRename,
    /// The sync of that.
    KeySyncDir,
    /// The bytes of a master key, into a temporary file.
    MasterWrite,
    /// Their sync.
    MasterSync,
    /// They get the key's name.
    MasterRename,
    /// The next master key takes the place of the old one.
    MasterInstall,
    /// The sync of that.
    MasterSyncDir,
    /// The bytes of a vault without values, into a temporary file.
    VaultWrite,
    /// Their sync.
    VaultSync,
    /// They become the session's vault.
    VaultRename,
    /// The sync of that.
    VaultSyncDir,
    /// One change of a batch, not committed yet.
    VaultChange,
    /// The commit of a batch.
    VaultCommit,
}

impl Step {
    /// The steps of a logout that is alone, in their order; some are taken side by side. The four steps that
    /// begin with [`Step::ShortenWrite`] come when the history has grown to twice its limit.
    pub const LOGOUT: &[Self] = &[
        Self::IntentSyncDir,
        Self::IntentWrite,
        Self::IntentSync,
        Self::TrashRename,
        Self::TrashSyncFrom,
        Self::TrashSyncTo,
        Self::HistorySyncDir,
        Self::HistoryWrite,
        Self::HistorySync,
        Self::ShortenWrite,
        Self::ShortenSync,
        Self::ShortenRename,
        Self::ShortenSyncDir,
        Self::Shred,
        Self::EraseFile,
        Self::EraseDir,
        Self::EraseSync,
        Self::IntentsEmpty,
    ];

    /// The steps that take the place of [`Step::IntentWrite`] when there have been many logouts, and one that
    /// began long ago is still under way.
    pub const REWRITE: &[Self] = &[
        Self::RewriteWrite,
        Self::RewriteSync,
        Self::RewriteRename,
        Self::RewriteSyncDir,
    ];

    /// The steps of a new session, in their order. The four steps that begin with [`Step::RecordWrite`] come
    /// with each change of the record, too.
    pub const BIRTH: &[Self] = &[
        Self::CreateDir,
        Self::RecordWrite,
        Self::RecordSync,
        Self::RecordRename,
        Self::RecordSyncDir,
        Self::CreateSync,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LockNote => "lock_note",
            Self::RootSync => "root_sync",
            Self::CreateDir => "create_dir",
            Self::CreateSync => "create_sync",
            Self::RecordWrite => "record_write",
            Self::RecordSync => "record_sync",
            Self::RecordRename => "record_rename",
            Self::RecordSyncDir => "record_sync_dir",
            Self::VersionWrite => "version_write",
            Self::VersionSync => "version_sync",
            Self::VersionRename => "version_rename",
            Self::VersionSyncDir => "version_sync_dir",
            Self::IntentSyncDir => "intent_sync_dir",
            Self::IntentWrite => "intent_write",
            Self::IntentSync => "intent_sync",
            Self::RewriteWrite => "rewrite_write",
            Self::RewriteSync => "rewrite_sync",
            Self::RewriteRename => "rewrite_rename",
            Self::RewriteSyncDir => "rewrite_sync_dir",
            Self::TrashRename => "trash_rename",
            Self::TrashSyncFrom => "trash_sync_from",
            Self::TrashSyncTo => "trash_sync_to",
            Self::HistoryWrite => "history_write",
            Self::HistorySync => "history_sync",
            Self::HistorySyncDir => "history_sync_dir",
            Self::ShortenWrite => "shorten_write",
            Self::ShortenSync => "shorten_sync",
            Self::ShortenRename => "shorten_rename",
            Self::ShortenSyncDir => "shorten_sync_dir",
            Self::FormerRename => "former_rename",
            Self::FormerSync => "former_sync",
            Self::Shred => "shred",
            Self::EraseFile => "erase_file",
            Self::EraseDir => "erase_dir",
            Self::EraseSync => "erase_sync",
            Self::IntentsEmpty => "intents_empty",
            Self::KeyWrite => "key_write",
            Self::KeySync => "key_sync",
            Self::KeyRename => "key_rename",
            Self::KeySyncDir => "key_sync_dir",
            Self::MasterWrite => "master_write",
            Self::MasterSync => "master_sync",
            Self::MasterRename => "master_rename",
            Self::MasterInstall => "master_install",
            Self::MasterSyncDir => "master_sync_dir",
            Self::VaultWrite => "vault_write",
            Self::VaultSync => "vault_sync",
            Self::VaultRename => "vault_rename",
            Self::VaultSyncDir => "vault_sync_dir",
            Self::VaultChange => "vault_change",
            Self::VaultCommit => "vault_commit",
        }
    }

    /// Does the work of this step.
    pub(super) fn take<T>(self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        failpoint::disk(self.as_str(), "before")?;
        let done = work()?;
        failpoint::disk(self.as_str(), "after")?;
        Ok(done)
    }
}

//! Who asks.

/// Who asks, and what that lets them see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Their uid: sessions they create are theirs.
    pub uid: u32,
    /// Whether they see and control everybody's sessions.
    pub sees_all: bool,
}

impl Caller {
    /// Whether they may see a session of this owner. To those who may not, it does not exist.
    #[must_use]
    pub const fn may_see(self, owner: u32) -> bool {
        self.sees_all || self.uid == owner
    }
}

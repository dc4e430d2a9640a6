//! Which files of the sessions this process still has open.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// The open files below a directory, by the entry of it that they belong to.
type Open = BTreeMap<OsString, Vec<PathBuf>>;

/// Looks at the open files of this process. One look serves everybody who asked before it began: with a
/// thousand logouts at once, a thousand looks at thousands of descriptors would be most of the work.
#[derive(Debug)]
pub(super) struct Descriptors {
    dir: PathBuf,
    /// How many looks were begun.
    begun: AtomicU64,
    /// The number of the last one, and what it saw.
    last: Mutex<(u64, Arc<Open>)>,
}

impl Descriptors {
    pub(super) fn below(dir: PathBuf) -> Self {
        Self {
            dir,
            begun: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// The open files below this entry of the directory, files that were already unlinked included, as
    /// they are at some time after the call.
    ///
    /// Empty means that no late write of this process can reach anything there. Where `/proc` is not
    /// mounted it is empty too: the tasks were awaited all the same, this is the second look.
    pub(super) async fn of(&self, entry: &str) -> Vec<PathBuf> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.0 <= asked {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            *last = (number, Arc::new(look(&self.dir)));
        }
        let open = Arc::clone(&last.1);
        drop(last);
        open.get(&OsString::from(entry))
            .cloned()
            .unwrap_or_default()
    }
}

fn look(dir: &Path) -> Open {
    let mut open = Open::new();
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return open;
    };
    let targets = entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    for target in targets {
        let below = target.strip_prefix(dir).ok();
        if let Some(entry) = below.and_then(|below| below.iter().next()) {
            open.entry(entry.to_owned())
                .or_default()
                .push(target.clone());
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sees_open_and_unlinked_files_and_forgets_closed_ones() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path");
        let descriptors = Descriptors::below(path.clone());
        fs::create_dir(path.join("alice")).expect("mkdir");
        let file = fs::File::create(path.join("alice/a")).expect("create");
        assert_eq!(descriptors.of("alice").await, [path.join("alice/a")]);
        assert_eq!(descriptors.of("ali").await, Vec::<PathBuf>::new());
        fs::remove_file(path.join("alice/a")).expect("remove");
        assert_eq!(descriptors.of("alice").await.len(), 1);
        drop(file);
        assert_eq!(descriptors.of("alice").await, Vec::<PathBuf>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everybody_is_told_what_was_true_after_asking() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path");
        let descriptors = Arc::new(Descriptors::below(path.clone()));
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..200 {
            let (descriptors, path) = (Arc::clone(&descriptors), path.clone());
            asking.spawn(async move {
                let user = format!("u{n}");
                fs::create_dir(path.join(&user)).expect("mkdir");
                let file = fs::File::create(path.join(&user).join("f")).expect("create");
                let while_open = descriptors.of(&user).await.len();
                drop(file);
                (while_open, descriptors.of(&user).await.len())
            });
        }
        while let Some(told) = asking.join_next().await {
            assert_eq!(told.expect("no panic"), (1, 0));
        }
        let looks = descriptors.begun.load(Ordering::SeqCst);
        assert!(looks <= 400, "{looks} looks for 400 questions");
    }
}

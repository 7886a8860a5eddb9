//! Something that is made of files, and made again once they have changed. Nobody
//! watches them: they are looked at when it is asked for, once a second at most.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base::Error;

const LOOK: Duration = Duration::from_secs(1);

/// What was made of files last. While they hold what cannot be used, what was made before stays.
pub(crate) struct Reloading<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, Error> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    seen: Vec<Option<Stamp>>,
    looked: Instant,
}

/// Another one is another content: device, inode, size, and when it was written.
type Stamp = (u64, u64, u64, i64, i64);

impl<T> Reloading<T> {
    /// Made of these files, now and later.
    pub(crate) fn of(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        // Before they are read: what changes meanwhile is read again.
        let seen = stamps(&files);
        let current = Arc::new(make()?);
        let state = Mutex::new(State { current, seen, looked: Instant::now() });
        Ok(Self { files, make: Box::new(make), state })
    }

    /// As the files are now, or were when they could last be used.
    pub(crate) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != state.seen {
                state.seen = stamps;
                match (self.make)() {
                    Ok(made) => {
                        state.current = Arc::new(made);
                        tracing::info!(files = ?self.files, "certificates reloaded");
                    }
                    // Half of them may be written: their next change is looked at again.
                    Err(error) => {
                        tracing::warn!(%error, "invalid certificates ignored, the previous ones stay in use");
                    }
                }
            }
        }
        Arc::clone(&state.current)
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reloading").field(&self.files).finish()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &Path| {
        let of = fs::metadata(path).ok()?;
        Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec()))
    };
    files.iter().map(|path| stamp(path)).collect()
}

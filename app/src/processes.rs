//! What runs where: `<data-dir>/processes.json`, as `[{service, pid, grpc}]`. There
//! while the deployment is up, and always whole: whoever reads it meanwhile sees the
//! one before or the one after. Starts and ends nothing.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use serde::Serialize;

use crate::data_dir::write_private;

/// The processes that run now, in the file.
#[derive(Debug)]
pub(crate) struct Processes {
    path: PathBuf,
    running: Mutex<BTreeMap<&'static str, Process>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Process {
    service: &'static str,
    pid: u32,
    grpc: SocketAddr,
}

/// Where a deployment says what runs where.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("processes.json")
}

impl Processes {
    /// None yet. The caller holds the lock of `data_dir`: what an earlier deployment left is gone.
    pub(crate) fn none(data_dir: &Path) -> Self {
        let path = path(data_dir);
        let _ = fs::remove_file(&path);
        Self { path, running: Mutex::new(BTreeMap::new()) }
    }

    /// These parts, `gateway` among them, run in this process and answer there.
    pub(crate) fn started(
        &self,
        parts: impl IntoIterator<Item = &'static str>,
        pid: u32,
        grpc: SocketAddr,
    ) -> Result<()> {
        self.change(|running| {
            running
                .extend(parts.into_iter().map(|part| (part, Process { service: part, pid, grpc })));
        })
    }

    /// This part does not run any more.
    pub(crate) fn ended(&self, part: &'static str) -> Result<()> {
        self.change(|running| {
            running.remove(part);
        })
    }

    /// The process that runs this part now.
    pub(crate) fn pid(&self, part: &str) -> Option<u32> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(part).map(|process| process.pid)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<&'static str, Process>)) -> Result<()> {
        // Held while writing, so that the last change is also the last written.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        let processes: Vec<_> = running.values().collect();
        let json = format!("{:#}\n", serde_json::json!(processes));
        write_private(&self.path, json.as_bytes())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_file_says_what_runs_and_goes_with_the_house() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("processes.json");
        fs::write(&file, "[{\"service\": \"of a deployment that was killed\"}]").unwrap();
        let processes = Processes::none(dir.path());
        assert!(!file.exists());

        let grpc: SocketAddr = "127.0.0.1:50051".parse().unwrap();
        processes.started(["order", "payment"], 7, grpc).unwrap();
        processes.started(["payment"], 8, grpc).unwrap();
        processes.ended("order").unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(read, json!([{ "service": "payment", "pid": 8, "grpc": "127.0.0.1:50051" }]));
        drop(processes);
        assert!(!file.exists());
    }
}

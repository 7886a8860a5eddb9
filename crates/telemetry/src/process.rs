//! The process itself: what it costs, and how busy its runtime is. Looked at when
//! metrics are read; what a system does not tell is left out.

use std::{fs, sync::atomic::Ordering, time::Duration};

use nix::sys::resource::{UsageWho, getrusage};
use opentelemetry_sdk::Resource;
use prometheus_client::encoding::EncodeLabelSet;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::metrics::{bytes, counted_seconds, gauges, sample};

#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Nothing {}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Mode {
    cpu_mode: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Target {
    service_name: String,
    service_version: String,
    service_instance_id: String,
}

/// Watches this process and the runtime that this is called on.
pub(super) fn watch(resource: &Resource) {
    let of = |key: &'static str| {
        resource.get(&key.into()).map(|value| value.to_string()).unwrap_or_default()
    };
    let target = Target {
        service_name: of("service.name"),
        service_version: of("service.version"),
        service_instance_id: of("service.instance.id"),
    };
    gauges("target.info", "Who tells this").get_or_create(&target).set(1);
    let cpu = counted_seconds("process.cpu.time", "Processor time");
    let memory = bytes("process.memory.usage", "Resident memory");
    let files = gauges("process.open_file_descriptor.count", "Open file descriptors");
    sample(move || {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            for (cpu_mode, time) in [("user", usage.user_time()), ("system", usage.system_time())] {
                let seconds = seconds(time.tv_sec(), time.tv_usec());
                let counter = cpu.get_or_create(&Mode { cpu_mode });
                counter.inner().store(seconds.to_bits(), Ordering::Relaxed);
            }
        }
        if let Some(resident) = resident() {
            memory.get_or_create(&Nothing {}).set(resident);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            files.get_or_create(&Nothing {}).set(number(open.count()));
        }
    });
    if let Ok(runtime) = Handle::try_current() {
        watch_runtime(runtime.metrics());
    }
}

fn watch_runtime(runtime: RuntimeMetrics) {
    let tasks = gauges("hansang.runtime.tasks", "Tasks of the runtime that are not done");
    let queue = gauges("hansang.runtime.queue", "Tasks that wait for any worker");
    let workers = gauges("hansang.runtime.workers", "Threads that carry tasks out");
    let busy = counted_seconds("hansang.runtime.busy", "Time that the workers were not idle");
    sample(move || {
        tasks.get_or_create(&Nothing {}).set(number(runtime.num_alive_tasks()));
        queue.get_or_create(&Nothing {}).set(number(runtime.global_queue_depth()));
        workers.get_or_create(&Nothing {}).set(number(runtime.num_workers()));
        let each = (0..runtime.num_workers()).map(|n| runtime.worker_total_busy_duration(n));
        let all = each.sum::<Duration>().as_secs_f64();
        busy.get_or_create(&Nothing {}).inner().store(all.to_bits(), Ordering::Relaxed);
    });
}

fn seconds(whole: i64, micros: i64) -> f64 {
    let duration = |of, n: i64| Duration::from_micros(of * u64::try_from(n).unwrap_or_default());
    (duration(1_000_000, whole) + duration(1, micros)).as_secs_f64()
}

/// Bytes of memory in use, by Linux's `/proc`.
fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

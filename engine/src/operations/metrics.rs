//! A node's numbers in the text format of OpenMetrics, which Prometheus reads: counted by the way, or read when asked.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Observed;
use super::process::Process;
use crate::session::process_memory;
use crate::session::spill::Spilled;
use crate::session::watchdog::Threads;

/// The numbers of one node.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Those of that node.
    pub fn of(node: Observed) -> Self {
        let mut registry = Registry::default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        began.set(started.as_secs_f64());
        registry.register_with_unit("process_start_time", "When the node began, since 1970", Unit::Seconds, began);
        let own = registry.sub_registry_with_prefix("chancery");
        let version = vec![("node", node.name.clone()), ("version", env!("CARGO_PKG_VERSION").to_string())];
        own.register("build", "The node and its version", Info::new(version));
        node.door.queries().tally().register(own);
        registry.register_collector(Box::new(AsTheyAre(node)));
        Self(registry)
    }

    /// All of them as they are now.
    ///
    /// # Errors
    /// Only by a defect of an encoder.
    pub fn told(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// What is read when somebody asks.
#[derive(Debug)]
struct AsTheyAre(Observed);

impl Collector for AsTheyAre {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut told = Told(encoder);
        self.of_statements(&mut told)?;
        self.of_evidence(&mut told)?;
        of_process(&mut told)
    }
}

impl AsTheyAre {
    fn of_statements(&self, told: &mut Told<'_>) -> fmt::Result {
        let Observed { door, access, turns, .. } = &self.0;
        told.gauge("chancery_statements_running", "Statements that run now", None, door.queries().running().len())?;
        told.gauge("chancery_statements_waiting", "Statements that wait for their turn", None, turns.waiting())?;
        told.gauge("chancery_sessions", "Sessions that are open", None, access.sessions())?;
        told.gauge("chancery_stopping", "1 when the node takes nothing new", None, usize::from(turns.is_closed()))?;
        let threads = Threads::now();
        let held = "Those of them that are held by a step of a statement which does not give way";
        told.gauge("chancery_query_threads", "Threads on which statements run", None, threads.all)?;
        told.gauge("chancery_query_threads_held", held, None, threads.held)?;
        told.counter("chancery_long_steps", "Steps of statements that held a thread", None, threads.long_steps)?;
        let reserved = door.base().runtime_env().memory_pool.reserved();
        let bytes = Some(&Unit::Bytes);
        told.gauge("chancery_memory_reserved", "Memory that statements have of the node's share", bytes, reserved)?;
        let most = "Memory that the process may have";
        let process_max = process_memory::bytes_max().unwrap_or_default();
        told.gauge("chancery_process_memory_max", most, bytes, process_max)?;
        let Some(spilled) = door.base().config().get_extension::<Spilled>() else { return Ok(()) };
        let on_disk = "What statements have on the disk now, sealed";
        told.gauge("chancery_spilled", on_disk, bytes, usize::try_from(spilled.used()).unwrap_or(usize::MAX))?;
        told.counter("chancery_spilled_written", "All that statements put on the disk", bytes, spilled.total())
    }

    fn of_evidence(&self, told: &mut Told<'_>) -> fmt::Result {
        let Some(audit) = self.0.door.evidence() else { return Ok(()) };
        told.counter("chancery_audit_records", "Records of the audit log, from its first on", None, audit.head().seq)?;
        told.counter("chancery_audit_syncs", "How often the disk made records lasting", None, audit.syncs())?;
        told.counter("chancery_audit_failures", "How often a record could not be written", None, audit.failed())?;
        let waiting = "Records that wait to be written, the end of each running statement among them";
        told.gauge("chancery_audit_waiting", waiting, None, audit.waiting())
    }
}

fn of_process(told: &mut Told<'_>) -> fmt::Result {
    let process = Process::now();
    let bytes = Some(&Unit::Bytes);
    let gauges = [
        ("process_resident_memory", "Memory of the process that is resident", bytes, process.resident_bytes),
        ("process_virtual_memory", "Memory of the process", bytes, process.virtual_bytes),
        ("process_threads", "Threads of the process", None, process.threads),
        ("process_open_fds", "Files and connections that are open", None, process.open_files),
        ("process_max_fds", "How many may be open", None, process.files_max),
    ];
    for (name, help, unit, value) in gauges {
        if let Some(value) = value {
            told.gauge(name, help, unit, usize::try_from(value).unwrap_or(usize::MAX))?;
        }
    }
    match process.cpu_seconds {
        Some(seconds) => told.metric(
            "process_cpu",
            "Processor time of the process",
            Some(&Unit::Seconds),
            &ConstCounter::new(seconds),
        ),
        None => Ok(()),
    }
}

/// Where numbers are told.
struct Told<'a>(DescriptorEncoder<'a>);

impl Told<'_> {
    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: usize) -> fmt::Result {
        self.metric(name, help, unit, &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        self.metric(name, help, unit, &ConstCounter::new(value))
    }

    fn metric(&mut self, name: &str, help: &str, unit: Option<&Unit>, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, unit, metric.metric_type())?)
    }
}

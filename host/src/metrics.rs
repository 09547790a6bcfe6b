//! What the operator's dashboards read, in the OpenMetrics text format.
//!
//! **One rule: no label is chosen by a caller.** Tenants come from the tenants directory, reasons
//! from our own enums, so the number of series is known before the first call.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The media type of [`Metrics::text`].
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The tenant a figure is about.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Tenant {
    /// Its id in the tenants directory.
    pub tenant: String,
}

/// One of a fixed list of reasons or kinds.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    /// The reason or kind.
    pub kind: &'static str,
}

/// A tenant and one of a fixed list of kinds.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TenantKind {
    /// Its id in the tenants directory.
    pub tenant: String,
    /// The kind.
    pub kind: &'static str,
}

/// All figures of one gateway.
pub struct Metrics {
    registry: Registry,
    /// Calls whose stream is open.
    pub calls_live: Gauge,
    /// By tenant: 0 where its active version answers, 1 where another one stands in, 2 where none does.
    pub tenant_trouble: Family<Tenant, Gauge>,
    /// Calls that ended, by tenant and reason.
    pub calls_ended: Family<TenantKind, Counter>,
    /// Requests refused before a call existed, by reason.
    pub refused: Family<Kind, Counter>,
    /// What went off the happy path inside calls, by tenant and kind.
    pub notes: Family<TenantKind, Counter>,
    /// What tenants were refused for a limit of the operator's, by tenant and limit.
    pub limits_reached: Family<TenantKind, Counter>,
    /// Carrier messages that broke the protocol.
    pub malformed: Family<Kind, Counter>,
    /// Caller frames handed to a tenant.
    pub frames_in: Family<Tenant, Counter>,
    /// Frames sent to the carrier.
    pub frames_out: Family<Tenant, Counter>,
    /// Model connections by outcome.
    pub model_connections: Family<Kind, Counter>,
    /// Recordings, by tenant and by how they began or ended.
    pub recordings: Family<TenantKind, Counter>,
    /// Bytes written to recordings.
    pub recorded_bytes: Counter,
    /// Events through a component, in seconds of wall clock.
    pub event_seconds: Histogram,
    /// Ticks of the thread that interrupts guests; about a thousand a second while it lives.
    pub ticker_ticks: Gauge,
    /// Those that came more than ten milliseconds late: the machine is overloaded.
    pub ticker_late: Gauge,
    /// Lines of the log that were lost, because nobody read them or they could not be written.
    pub log_lines_dropped: Gauge,
    /// How late the call's task woke for a deadline, in seconds.
    pub late_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cordboard");
        let metrics = Self {
            calls_live: Gauge::default(),
            tenant_trouble: Family::default(),
            ticker_ticks: Gauge::default(),
            ticker_late: Gauge::default(),
            log_lines_dropped: Gauge::default(),
            calls_ended: Family::default(),
            refused: Family::default(),
            notes: Family::default(),
            limits_reached: Family::default(),
            malformed: Family::default(),
            frames_in: Family::default(),
            frames_out: Family::default(),
            model_connections: Family::default(),
            recordings: Family::default(),
            recorded_bytes: Counter::default(),
            event_seconds: Histogram::new(exponential_buckets(2e-6, 2.0, 16)),
            late_seconds: Histogram::new(exponential_buckets(1e-4, 2.0, 14)),
            registry: Registry::default(),
        };
        registry.register("calls_live", "Calls whose stream is open", metrics.calls_live.clone());
        registry.register(
            "tenant_trouble",
            "0 where the active version answers, 1 where another one stands in, 2 where none does",
            metrics.tenant_trouble.clone(),
        );
        registry.register(
            "ticker_ticks",
            "Ticks of the thread that interrupts guests, a thousand a second",
            metrics.ticker_ticks.clone(),
        );
        registry.register("ticker_late", "Ticks that came too late", metrics.ticker_late.clone());
        registry.register(
            "log_lines_dropped",
            "Lines of the log that were lost: nobody read it, or it could not be written",
            metrics.log_lines_dropped.clone(),
        );
        registry.register("calls_ended", "Calls that ended", metrics.calls_ended.clone());
        registry.register(
            "refused",
            "Requests refused before a call existed",
            metrics.refused.clone(),
        );
        registry.register("notes", "Off the happy path inside calls", metrics.notes.clone());
        registry.register(
            "limits_reached",
            "What tenants were refused for a limit of the operator's; the kind is its key in tenant.toml",
            metrics.limits_reached.clone(),
        );
        registry.register("malformed", "Messages that broke a protocol", metrics.malformed.clone());
        registry.register(
            "frames_in",
            "Caller frames handed to a tenant",
            metrics.frames_in.clone(),
        );
        registry.register("frames_out", "Frames sent to the carrier", metrics.frames_out.clone());
        registry.register(
            "model_connections",
            "Model connections",
            metrics.model_connections.clone(),
        );
        registry.register(
            "recordings",
            "Recordings by how they began or ended; any kind but begun and complete lost something",
            metrics.recordings.clone(),
        );
        registry.register_with_unit(
            "recorded",
            "Written to recordings",
            Unit::Bytes,
            metrics.recorded_bytes.clone(),
        );
        registry.register_with_unit(
            "event",
            "An event through a component, wall clock",
            Unit::Seconds,
            metrics.event_seconds.clone(),
        );
        registry.register_with_unit(
            "late",
            "How late a call woke for a deadline",
            Unit::Seconds,
            metrics.late_seconds.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let dropped = i64::try_from(crate::logging::lines_dropped()).unwrap_or(i64::MAX);
        self.log_lines_dropped.set(dropped);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String can not fail");
        text
    }

    /// Counts a request that was refused before a call existed.
    pub fn refuse(&self, kind: &'static str) {
        self.refused.get_or_create(&Kind { kind }).inc();
    }
}

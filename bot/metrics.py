"""What the process counts and times. Labels are bounded words (kinds, outcomes, reasons), never ids or texts.

All names begin with `relaydesk_`; `/metrics` serves them. Worker, dispatcher, clock and adapters write where things
happen: `metrics.deliveries.labels(kind=..., outcome=...).inc()`.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REGISTRY: Final = CollectorRegistry()
"""Our own, so that nothing a library registers by itself is published."""

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds, around the work on one message (a few milliseconds)."""
_CALLS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds, around a call to a platform."""
_LATENESS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""Seconds, around how late an alert was given."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(f"relaydesk_{name}", about, labels, registry=REGISTRY)


def _gauge(name: str, about: str, *labels: str) -> Gauge:
    return Gauge(f"relaydesk_{name}", about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"relaydesk_{name}", about, labels, buckets=buckets, registry=REGISTRY)


messages_in = _counter("messages_in_total", "Events stored in the inbox.", "source")
duplicates = _counter("duplicates_total", "Events that were in the inbox already.", "source")
facts = _counter("facts_total", "Facts from outside.", "way", "outcome")
duplicate_customers = _counter("duplicate_customers_total", "Pairs of customers who may be one person.")
forged_requests = _counter("forged_requests_total", "Requests refused for a wrong signature or secret.", "source")
refused_requests = _counter(
    "refused_requests_total", "Requests refused as unreadable, too large, too slow or too many.", "source", "reason"
)

lanes_waiting = _gauge("lanes_waiting", "Lanes with work that nobody has taken yet.", "side")
decisions = _counter("decisions_total", "Decisions taken, by reason.", "reason")
decision_seconds = _histogram("decision_seconds", "From claiming a batch to its commit, per batch.", _FAST)
classify_seconds = _histogram("classify_seconds", "Reading one text.", _FAST)
model_state = _gauge("model_state", "1 for what answers: what was asked for, or what stands in for it.", "state")

labels = _counter("labels_total", "Labels that people gave.", "kind", "source")
trainings = _counter("trainings_total", "Trainings, by what came of them.", "outcome")
model_version = _gauge("model_version", "The number of the version that answers.")
shadow = _counter("shadow_total", "What a shadow would have answered, beside the answer.", "outcome")

outbox_waiting = _gauge("outbox_waiting", "Deliveries on their way, by state.", "state")
deliveries = _counter("deliveries_total", "Deliveries, by kind and outcome.", "kind", "outcome")
send_seconds = _histogram("send_seconds", "One call to a platform.", _CALLS, "kind")
rate_limited = _counter("rate_limited_total", "Times a platform told us to wait.", "platform")
dead_letters = _counter("dead_letters_total", "Entries set aside with a reason.")
dead_letters_waiting = _gauge("dead_letters_waiting", "Entries set aside that nobody has settled.", "box")

sla_alerts = _counter("sla_alerts_total", "Warnings, breaches and escalations given.", "kind")
alert_lateness_seconds = _histogram("alert_lateness_seconds", "How late an alert was given.", _LATENESS)
sweep_seconds = _histogram("sweep_seconds", "One sweep over due clocks.", _FAST)
tasks = _gauge("tasks", "Things this process does or waits for at once (asyncio tasks).")
database_log = _gauge("database_log_bytes", "SQLite's log of the record on the disk; 0 on PostgreSQL.")
kept_files = _gauge("kept_files", "Files whose bytes are kept.")
kept_bytes = _gauge("kept_bytes", "Bytes of the files that are kept.")
backup_age = _gauge("backup_verified_age_seconds", "Since a backup was last proved to be readable.")
heard_age_seconds = _gauge("heard_age_seconds", "Since a platform last answered us.", "platform")
behind = _gauge("behind_seconds", "How long the lane has waited that waits longest to be taken.", "side")
degraded = _gauge("degraded", "1 while something is done more simply because too much waits.", "what")
read_simply = _gauge("read_simply", "Texts read by the n-gram experts because too many waited, since the start.")
leads = _gauge("leads", "1 where this process does what one process does at a time.", "name")
build = _gauge("build_info", "The running version, and the classifier's.", "version", "model")


def page() -> bytes:
    """Everything as Prometheus reads it."""
    return generate_latest(REGISTRY)

"""What an operator's Prometheus reads. Labels are routes and names, never anything from a request."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """This process's counters; each process is scraped, or one stands for all behind its own port."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "pasito_request_seconds",
            "Time to answer, by route and status",
            ["route", "status"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.refused = Counter(
            "pasito_limit_refusals_total", "Requests over a limit, by rule", ["rule"], registry=self.registry
        )
        self.deliveries = Counter(
            "pasito_deliveries_total",
            "Deliveries to the outside, by kind and how they ended",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.chores = Counter(
            "pasito_chores_total",
            "What became due with time and was done, by chore and how it ended",
            ["chore", "outcome"],
            registry=self.registry,
        )
        self.google = Counter(
            "pasito_google_requests_total",
            "Requests to Google Wallet, by how they ended",
            ["outcome"],
            registry=self.registry,
        )
        self.google_callbacks = Counter(
            "pasito_google_callbacks_total",
            "What Google told of saved and removed cards, by what became of it",
            ["outcome"],
            registry=self.registry,
        )
        self.phone_registrations = Counter(
            "pasito_phone_registrations_total",
            "Phones that registered for a pass (new, known) or left it (gone, unknown)",
            ["outcome"],
            registry=self.registry,
        )
        self.phone_fetches = Counter(
            "pasito_phone_fetches_total",
            "Passes that phones fetched (sent) or had already (unchanged)",
            ["outcome"],
            registry=self.registry,
        )
        self.phone_log_lines = Counter(
            "pasito_phone_log_lines_total", "Lines that phones complained with", registry=self.registry
        )
        self._certificates = Gauge(
            "pasito_certificate_expires_seconds",
            "Time until a certificate ends; below 0 it has",
            ["certificate"],
            registry=self.registry,
        )
        self.waiting = Gauge("pasito_deliveries_waiting", "Deliveries that wait", registry=self.registry)
        self.dead = Gauge("pasito_deliveries_dead", "Deliveries put aside", registry=self.registry)
        self.oldest = Gauge(
            "pasito_deliveries_oldest_seconds", "Age of the oldest waiting delivery", registry=self.registry
        )

    def certificate_ends(self, name: str, seconds: float) -> None:
        """A certificate that there is not has no line: 0 would mean that it just ended."""
        self._certificates.labels(name).set(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)

"""A node's state for Prometheus: the figures of `p2prec node status` in its text format, and none of any person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[list[str], float | None]


def metrics_text(status: dict[str, Any]) -> bytes:
    """The status document as metrics."""
    registry = CollectorRegistry()
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status:
    """A collector of one moment."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield from self._catalogs()
        yield from self._network()
        yield from self._models()

    def _catalogs(self) -> Iterator[Metric]:
        catalogs = self._status["catalogs"]
        named = [([one["publisher"], one["platform"] or ""], one) for one in catalogs]
        labels = ["publisher", "platform"]
        here = "Items of a catalog that are stored here"
        yield gauge("catalog_items", here, labels, ((names, one["items_known"]) for names, one in named))
        there = "Items of its newest version that was heard of"
        yield gauge("catalog_items_announced", there, labels, ((names, one["items_total"]) for names, one in named))
        whole = "Whether that version is here whole"
        yield gauge("catalog_whole", whole, labels, ((names, one["state"] == "whole") for names, one in named))

    def _network(self) -> Iterator[Metric]:
        status = self._status
        peers = status["peers"]
        yield gauge("peers_connected", "Peers", [], [([], sum(one["connected"] for one in peers))])
        yield gauge("peers_banned", "Peers banned", [], [([], sum(one["banned_seconds"] > 0 for one in peers))])
        for what, about in (("bytes", "Bytes of frames"), ("frames", "Frames")):
            samples = [([way, kind], n) for way in ("in", "out") for kind, n in sorted(status[f"{what}_{way}"].items())]
            yield counter(what, f"{about} since the node started, by kind", ["way", "kind"], samples)
        refused = [([reason], n) for reason, n in sorted(status["refused"].items())]
        yield counter("refused", "What peers sent and was refused, since the node started", ["reason"], refused)

    def _models(self) -> Iterator[Metric]:
        models = self._status["models"]
        for name, about, field in (
            ("age_periods", "Periods of learning behind a model", "age"),
            ("users", "Users here that it learned from", "users"),
            ("nodes", "Nodes behind it", "nodes"),
            ("helps", "Whether the network helps this node's users; absent before anybody was heard", "network_helps"),
            ("seconds_ago", "Since it last learned", "learned_seconds_ago"),
            ("epsilon", "Privacy spent by what was published; absent where none is promised", "epsilon"),
        ):
            yield gauge(f"model_{name}", about, ["model"], (([one["model"]], one[field]) for one in models))
        samples = [
            ([one["model"], verdict], sum(entry[verdict] for entry in one["ledger"].values()))
            for one in models
            for verdict in ("accepted", "refused", "invalid")
        ]
        yield counter("updates", "Others' updates, by what the gate made of them", ["model", "verdict"], samples)


def gauge(name: str, about: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    return _filled(GaugeMetricFamily(f"p2prec_{name}", about, labels=labels), samples)


def counter(name: str, about: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    return _filled(CounterMetricFamily(f"p2prec_{name}", about, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Iterable[Sample]) -> Metric:
    """Without the samples of which nothing is known."""
    for names, value in samples:
        if value is not None:
            family.add_metric(names, float(value))
    return family

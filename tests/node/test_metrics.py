"""Metrics of a status: what is not known is left out, and no name of a stranger's breaks the format."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from node.metrics import metrics_text

NOTHING: dict[str, Any] = {
    "catalogs": [],
    "peers": [],
    "models": [],
    **{name: {} for name in ("bytes_in", "bytes_out", "frames_in", "frames_out", "refused")},
}


def read(status: dict[str, Any]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics_text(status).decode())
        for sample in family.samples
    }


def test_a_node_that_knows_nothing_has_no_peers() -> None:
    assert read(NOTHING) == {("p2prec_peers_connected",): 0, ("p2prec_peers_banned",): 0}


@given(st.text(min_size=1).filter(lambda text: text.isprintable()), st.integers(0, 2**40))
def test_a_platform_may_be_called_anything(platform: str, items: int) -> None:
    catalog = {"publisher": "12D3", "platform": platform, "items_known": items, "items_total": items, "state": "whole"}
    found = read({**NOTHING, "catalogs": [catalog]})
    assert found["p2prec_catalog_items", platform, "12D3"] == items


def test_models_and_verdicts() -> None:
    ledger = {"a": {"accepted": 3, "refused": 1, "invalid": 0}, "b": {"accepted": 2, "refused": 0, "invalid": 4}}
    model = {"model": "taste_prior", "age": 7, "users": 30, "nodes": 2, "network_helps": None, "epsilon": None}
    found = read({**NOTHING, "models": [{**model, "learned_seconds_ago": 5, "ledger": ledger}]})
    assert found["p2prec_model_age_periods", "taste_prior"] == 7
    assert not {"p2prec_model_epsilon", "p2prec_model_helps"} & {name for name, *_ in found}
    verdicts = {name[2]: value for name, value in found.items() if name[0] == "p2prec_updates_total"}
    assert verdicts == {"accepted": 5, "refused": 1, "invalid": 4}
    helped = {
        **NOTHING,
        "models": [{**model, "learned_seconds_ago": 5, "ledger": {}, "network_helps": True, "epsilon": 1.5}],
    }
    assert (read(helped)["p2prec_model_helps", "taste_prior"], read(helped)["p2prec_model_epsilon", "taste_prior"]) == (
        1,
        1.5,
    )

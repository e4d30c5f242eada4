import pytest
from node_runtime.payloads import EpisodeState, RecorderStatus, RunnerStatus, from_json, to_json


@pytest.mark.parametrize(
    "payload",
    [
        EpisodeState("ep0", 2_000_000, "push the red cube", "record"),
        EpisodeState("ep0", 2_000_000, "push the red cube", "end", success=False, reason="timeout"),
        RecorderStatus("truncated", "ep0", "/tmp/ep0", "disk full", {"/a": 3}, {"/a": 1}),
        RunnerStatus("failed", 2, "server gone", 3, [1.5, 2.5], 2.0, [40.0], {"model": "m"}),
    ],
)
def test_round_trip(payload):
    assert from_json(type(payload), to_json(payload)) == payload


def test_unknown_key_is_named():
    with pytest.raises(ValueError, match="unknown keys \\['sucess'\\]"):
        from_json(EpisodeState, '{"id":"a","seed":1,"instruction":"x","phase":"run","sucess":true}')


def test_missing_key_is_named():
    with pytest.raises(ValueError, match="missing keys \\['seed'\\]"):
        from_json(EpisodeState, '{"id":"a","instruction":"x","phase":"run"}')


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match="RunnerStatus"):
        from_json(RunnerStatus, text)


def test_nan_does_not_get_out():
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(RunnerStatus("running", infer_p50_ms=float("nan")))

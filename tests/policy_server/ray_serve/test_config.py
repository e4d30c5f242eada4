import pytest
import ray

from policy_server.backends.choice import absolute
from policy_server.ray_serve.engine import RayConfig, RayEngine


def test_no_replicas_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="replicas is 0; at least one is needed"):
        RayEngine(["scripted:hold"], RayConfig(replicas=0))
    assert not ray.is_initialized()


def test_replicas_run_elsewhere_and_get_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("checkpoint:runs/best") == f"checkpoint:{tmp_path}/runs/best"
    assert absolute("replay:episodes/e1#3") == f"replay:{tmp_path}/episodes/e1#3"
    assert absolute("scripted:mine.yaml#nod") == f"scripted:{tmp_path}/mine.yaml#nod"
    for as_it_is in ("scripted:wave", "replay:/data/e1", "nonsense"):
        assert absolute(as_it_is) == as_it_is

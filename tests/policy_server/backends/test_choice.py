import pytest

from policy_server.backends.choice import load_backend
from policy_server.backends.errors import BackendError
from policy_server.backends.scripted import load_scripted
from sim_train.checkpoint import CheckpointError


def test_scripted_by_name_and_by_file(tmp_path):
    assert load_backend("scripted:wave").revision == load_scripted("wave").revision
    path = tmp_path / "mine.yaml"
    path.write_text("motions: {rest: {kind: hold}}")
    assert load_backend(f"scripted:{path}#rest").revision == load_scripted("hold").revision


@pytest.mark.parametrize("text", ["", "wave", "scripted:", "replay:", "pickle:policy.pkl", "checkpoint", ":x"])
def test_unknown_form_lists_the_known(text):
    with pytest.raises(BackendError, match=r"is unknown; expected one of checkpoint:DIR.*replay:DIR.*scripted:hold"):
        load_backend(text)


def test_what_is_named_must_be_there(tmp_path):
    with pytest.raises(CheckpointError, match="expected a directory"):
        load_backend(f"checkpoint:{tmp_path / 'none'}")
    with pytest.raises(BackendError, match="cannot be replayed"):
        load_backend(f"replay:{tmp_path}")
    with pytest.raises(BackendError, match="'two' is no number of an episode"):
        load_backend(f"replay:{tmp_path}#two")
    with pytest.raises(BackendError, match="no motion 'fly'"):
        load_backend("scripted:fly")

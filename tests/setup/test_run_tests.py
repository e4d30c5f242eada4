"""How `make test` shares its work."""

from pathlib import Path

import pytest
from run_tests import FAILED, NO_TESTS, ROOT, TRAINING, Group, again, groups, names_paths, status


def test_every_folder_of_tests_is_run_once():
    training, others = groups(["-m", "not slow"]).values()
    assert training[:2] == others[:2] == ["-m", "not slow"]
    assert training[2:] == list(TRAINING)
    assert others[2:] == [*(f"--ignore={folder}" for folder in TRAINING), "tests"]
    assert all((ROOT / folder).is_dir() for folder in TRAINING)
    assert Path(__file__).is_relative_to(ROOT / "tests")


@pytest.mark.parametrize(
    ("arguments", "certain"),
    [
        (["-m", "not slow"], False),
        (["-k", "can"], False),
        (["-x", "--durations=5"], False),
        (["-m", "not slow", "tests/piper_can"], True),
        (["tests/setup/test_run_tests.py::test_every_folder_of_tests_is_run_once"], True),
    ],
)
def test_paths_are_recognised(arguments, certain):
    assert names_paths(arguments) is certain


def test_one_failure_is_a_failure():
    assert status([0, 0]) == 0
    assert status([0, 1]) == status([1, 0]) == status([1, NO_TESTS]) == 1
    assert status([0, NO_TESTS]) == 0
    assert status([NO_TESTS, NO_TESTS]) == NO_TESTS
    assert status([0, -11]) == 11


def test_failed_tests_get_one_more_run_alone(tmp_path, capsys):
    (tmp_path / "test_busy.py").write_text(
        "from pathlib import Path\n"
        "def test_sometimes():\n"
        "    mark = Path(__file__).with_name('tried')\n"
        "    tried = mark.exists()\n"
        "    mark.touch()\n"
        "    assert tried\n"
        "def test_fine():\n"
        "    with Path(__file__).with_name('runs').open('a') as runs:\n"
        "        runs.write('x')\n"
    )
    group = Group("robot", [str(tmp_path), "-q"], tmp_path / "cache")
    group.start(niceness=1)
    assert group.wait() == FAILED
    code, said = again(group)
    assert code == 0
    assert len(said) == 1 and "failed: FAILED" in said[0] and "test_sometimes" in said[0]
    assert (tmp_path / "runs").read_text() == "x", "only what failed is run again"
    assert "robot    | " in capsys.readouterr().out


def test_a_test_that_fails_alone_too_is_a_failure(tmp_path):
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert False\n")
    group = Group("training", [str(tmp_path), "-q"], tmp_path / "cache")
    group.start()
    assert group.wait() == FAILED
    code, said = again(group)
    assert code == FAILED
    assert [line.split(":")[0] for line in said] == ["failed", "failed alone, too"]

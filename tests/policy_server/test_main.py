import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from policy_api.client import PolicyClient
from policy_api.images import decode_image, to_network_input

from policy_server.__main__ import main
from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig

TEXT = "push the red cube"


@pytest.fixture(scope="module")
def checkpoint(spec, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("policy") / "checkpoint"
    config = TokenVlaConfig(d_model=32, layers=1, heads=2, mlp=32, bins=16, head_rank=4, bf16=False)
    save_policy(path, TokenVla(spec, config, build_vocabulary([TEXT])), record={})
    return path


def test_checkpoint_is_served_as_it_was_saved(checkpoint, spec, observe):
    policy = load_policy(checkpoint)
    command = [sys.executable, "-m", "policy_server", "--checkpoint", str(checkpoint), "--address", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    try:
        assert f"model echo, revision {policy.revision[:12]}, contract {spec.spec_hash[:12]}" in line
        address = line.split("ready on ")[1].split(": ")[0]
        with PolicyClient(address, "robot") as client:
            assert client.open_session(spec.spec_hash, expect_spec=spec) == spec
            for joint1, rgb in ((0.5, (250, 10, 10)), (-2.0, (0, 90, 255))):
                observation = observe(joint1, rgb, TEXT)
                chunk = client.infer(observation, 10)
                images = {
                    camera.name: to_network_input(decode_image(observation.images[camera.name]), camera)[None]
                    for camera in spec.cameras
                }
                expected = policy.act(images, observation.state[None], [TEXT]).actions[0]
                np.testing.assert_allclose(chunk.actions, expected, atol=1e-6)
                assert chunk.revision == policy.revision
    finally:
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert time.monotonic() - start < 2.0


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main([str(argument) for argument in arguments])
    assert error.value.code == 1
    return capsys.readouterr().err


def test_start_that_cannot_work_says_why(checkpoint, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in checkpoint.iterdir():
        data = bytearray(file.read_bytes())
        if file.suffix == ".safetensors":
            data[-1] ^= 1
        (damaged / file.name).write_bytes(data)
    text = refusal(capsys, "--checkpoint", damaged)
    assert text.startswith(f"policy_server: {damaged}")
    assert "SHA-256" in text
    assert "expected a directory" in refusal(capsys, "--checkpoint", tmp_path / "policy.pt")
    assert "refusing to listen on '0.0.0.0:50051'" in refusal(
        capsys, "--checkpoint", checkpoint, "--address", "0.0.0.0:50051"
    )

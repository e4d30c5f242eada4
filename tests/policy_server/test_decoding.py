import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from policy_api.errors import InvalidObservation
from policy_api.images import decode_image, encode_jpeg, to_network_input
from policy_api.schema import EncodedImage, Observation
from serving_fakes import make_contract

from policy_server import decoding
from policy_server.decoding import Decoder

CAMERAS = 3


@pytest.fixture
def decoder():
    made = Decoder(2)
    yield made
    made.close()


def observation(spec):
    random = np.random.default_rng(0)
    images = {
        camera.name: EncodedImage("jpeg", 64, 48, encode_jpeg(random.integers(0, 256, (48, 64, 3), np.uint8), 90), 0)
        for camera in spec.cameras
    }
    return Observation(np.zeros(7, np.float32), images, "go", 0, 0)


def test_every_camera_gets_its_own_pixels_as_in_training(decoder):
    spec = make_contract(cameras=CAMERAS)
    seen = observation(spec)
    decoded = decoder.decode(seen, spec)
    assert list(decoded.images) == [camera.name for camera in spec.cameras]
    for camera in spec.cameras:
        expected = to_network_input(decode_image(seen.images[camera.name]), camera)
        np.testing.assert_array_equal(decoded.images[camera.name], expected)
    assert decoded.decode_ns > 0
    assert decoded.preprocess_ns > 0


def test_frames_are_decoded_at_the_same_time(decoder, monkeypatch):
    together = threading.Barrier(CAMERAS, timeout=20)

    def decode(*arguments):
        together.wait()  # passes only if all frames are being decoded
        return decode_image(*arguments)

    monkeypatch.setattr(decoding, "decode_image", decode)
    spec = make_contract(cameras=CAMERAS)
    decoder.decode(observation(spec), spec)


def test_nobody_waits_for_a_pool_that_is_busy(decoder):
    release = threading.Event()
    for _ in range(2):
        decoder._pool.submit(release.wait, 20)
    spec = make_contract(cameras=CAMERAS)
    decoded = decoder.decode(observation(spec), spec)
    assert list(decoded.images) == [camera.name for camera in spec.cameras]
    assert not release.is_set()
    release.set()


@pytest.mark.parametrize("broken", range(CAMERAS))
def test_damaged_frame_is_named(decoder, broken):
    spec = make_contract(cameras=CAMERAS)
    seen = observation(spec)
    name = f"camera{broken}"
    seen.images[name] = replace(seen.images[name], data=b"no picture")
    with pytest.raises(InvalidObservation, match=f"camera '{name}': not a whole JPEG"):
        decoder.decode(seen, spec)


def test_policy_without_cameras(decoder):
    spec = replace(make_contract(), cameras=())
    assert decoder.decode(observation(spec), spec).images == {}


def test_many_calls_decode_no_more_frames_at_once_than_cores_and_one(decoder, monkeypatch):
    counting = threading.Lock()
    running = most = 0

    def decode(*arguments):
        nonlocal running, most
        with counting:
            running += 1
            most = max(most, running)
        try:
            threading.Event().wait(0.01)
            return decode_image(*arguments)
        finally:
            with counting:
                running -= 1

    monkeypatch.setattr(decoding, "decode_image", decode)
    spec = make_contract(cameras=CAMERAS)
    seen = observation(spec)
    calls = [threading.Thread(target=decoder.decode, args=(seen, spec)) for _ in range(8)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(30)
    assert 1 < most <= 3


def test_the_pools_threads_step_back(decoder):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, 0)

    before = niceness()
    assert decoder._pool.submit(niceness).result(10) == min(19, before + 5)
    assert niceness() == before

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from openpi_client import msgpack_numpy
from policy_api.errors import InvalidMessage
from policy_api.schema import MAX_MESSAGE_BYTES

from policy_server.openpi.wire import pack, unpack

NUMBERS = st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 32, 64)))
ARRAYS = hnp.arrays(NUMBERS | hnp.boolean_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


@given(ARRAYS)
@settings(deadline=None, max_examples=100)
def test_arrays_of_the_real_client_arrive_as_they_were_and_go_back(array):
    ours = unpack(msgpack_numpy.packb({"x": {"y": array}}))["x"]["y"]
    theirs = msgpack_numpy.unpackb(pack({"x": array}))["x"]
    for found in (ours, theirs):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_plain_values_and_scalars():
    message = {"prompt": "push", "n": 3, "on": True, "none": None, "list": [1, 2.5], "bytes": b"\xff\xd8"}
    assert unpack(msgpack_numpy.packb(message)) == message
    scalars = {"a": np.float32(0.5), "b": np.int64(-7), "c": np.bool_(True)}
    assert unpack(msgpack_numpy.packb(scalars)) == {"a": 0.5, "b": -7, "c": True}


def array_of(**changes):
    plain = {b"__ndarray__": True, b"data": b"\0" * 8, b"dtype": "<f4", b"shape": [2]}
    return msgpack.packb(plain | {key.encode(): value for key, value in changes.items()})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (array_of(dtype="|O"), r"'\|O' is refused; arrays of numbers are taken, objects are not"),
        (array_of(dtype="|V8"), "is refused"),
        (array_of(dtype="<c8"), "is refused"),
        (array_of(dtype="<M8[ns]"), "is refused"),
        (array_of(dtype="f4,O"), "is refused"),
        (array_of(dtype=[["a", "|O"]]), "is refused"),
        (array_of(dtype=None), "is refused"),
        (array_of(shape=[3]), r"shape \[3\] and float32 cannot have 8 bytes"),
        (array_of(shape=[-2]), r"shape \[-2\]"),
        (array_of(shape=[2.0]), r"shape \[2.0\]"),
        (array_of(shape=[1 << 40, 1 << 40]), "cannot have 8 bytes"),
        (array_of(shape=[1] * 9 + [2]), "at most eight numbers"),
        (array_of(shape="2"), "needs data"),
        (array_of(data="text"), "needs data"),
        (msgpack.packb({b"__npgeneric__": True, b"dtype": "|O", b"data": 1}), "is refused"),
        (msgpack.packb({b"__npgeneric__": True, b"dtype": "<f4", b"data": [1]}), "a numpy scalar holds list"),
        (msgpack.packb(msgpack.ExtType(5, b"x")), "extension 5 is refused"),
        (b"", "no msgpack"),
        (b"\x80\x05\x95\x0b\x00\x00\x00cposix\nsystem\n.", "no msgpack"),
        (b"\xc1", "no msgpack"),
        (b"\xdf\xff\xff\xff\xff", "no msgpack"),
        (b"\x91" * 5000 + b"\x01", "no msgpack"),
        (b"\xa2\xff\xfe", "no msgpack"),
        (msgpack.packb({1: 2}), "no msgpack"),
        (b"\0" * (MAX_MESSAGE_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_message_is_refused(data, text):
    with pytest.raises(InvalidMessage, match=text):
        unpack(data)


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=300)
def test_no_bytes_do_anything_else_than_be_read_or_refused(data):
    with contextlib.suppress(InvalidMessage):
        unpack(data)


def test_only_arrays_of_numbers_are_sent():
    with pytest.raises(TypeError, match="cannot be sent"):
        pack({"x": np.array([object()])})

from concurrent import futures

import grpc
import pytest
from policy_api import errors
from policy_api.errors import InvalidMessage, PolicyApiError, ServerFault, StaleRequest, Superseded
from policy_api.refusals import refusal

from policy_server.answering import answering, status_of

Code = grpc.StatusCode


@pytest.fixture
def ask():
    """Raise an error inside a real call; what the caller gets."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    raised = []

    def fail(request, context):
        with answering(context):
            raise raised[-1]

    handler = grpc.unary_unary_rpc_method_handler(fail)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Fail": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def call(error):
            raised.append(error)
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/test/Fail")(b"", timeout=20)
            return caught.value

        yield call
    server.stop(0)


@pytest.mark.parametrize("letter", ["x", "ü", "抓", "🤖"])
def test_long_text_arrives_cut(ask, letter):
    got = ask(InvalidMessage("wrong: " + letter * 100_000))
    assert got.code() == Code.INVALID_ARGUMENT
    assert got.details().startswith("wrong: " + letter * 100)
    assert 990 < len(got.details().encode()) <= 1000


@pytest.mark.parametrize("error", [RuntimeError("/secret/weights.py"), KeyError("secret"), MemoryError("secret")])
def test_defects_do_not_show_their_insides(ask, error, caplog):
    got = ask(error)
    assert (got.code(), got.details()) == (Code.INTERNAL, "the server failed; its log holds the cause")
    assert "secret" in caplog.text


def test_class_of_the_error_survives_the_wire(ask):
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PolicyApiError)]
    for kind in kinds:
        assert type(refusal(ask(kind("why")), "here", 1.0)) is kind


def test_status_is_that_of_the_nearest_base():
    assert status_of(Superseded("")) == status_of(StaleRequest("")) == Code.ABORTED
    assert status_of(ServerFault("")) == status_of(PolicyApiError("")) == Code.INTERNAL

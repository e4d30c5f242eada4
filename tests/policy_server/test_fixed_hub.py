import numpy as np
import pytest
from policy_api.errors import ServerFault, UnknownModel, UnknownRevision
from serving_fakes import FakePolicy, make_contract

from policy_server.fixed_hub import FixedHub


@pytest.fixture
def serve():
    hubs = []

    def make(*policies):
        hubs.append(FixedHub(policies))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


def test_only_model_needs_no_name(serve):
    hub = serve(FakePolicy())
    placement = hub.place("robot", "", "", "", False)
    assert (placement.served.spec.model, placement.slot) == ("fake", "stable")
    assert hub.place("robot", "", "fake", "a" * 64, True).served is placement.served
    assert hub.contracts() == [(make_contract(), "a" * 64, 0)]


def test_names_that_do_not_exist_are_answered_with_those_that_do(serve):
    hub = serve(FakePolicy(make_contract("one")), FakePolicy(make_contract("two")))
    for name in ("", "three"):
        with pytest.raises(UnknownModel, match=f"'{name}' is not served here; name one of: one, two"):
            hub.place("robot", "", name, "", False)
    with pytest.raises(UnknownRevision, match=f"'b+' of model 'two'.*'{'a' * 64}' is"):
        hub.place("robot", "", "two", "b" * 64, False)


def test_names_must_differ():
    with pytest.raises(ValueError, match="two policies are called 'fake'"):
        FixedHub([FakePolicy(), FakePolicy()])


def test_policy_that_cannot_act_takes_the_others_with_it():
    broken = FakePolicy(make_contract("broken"))
    broken.spoil = lambda actions: actions * np.nan
    with pytest.raises(ServerFault, match="is nan"):
        FixedHub([FakePolicy(), broken])

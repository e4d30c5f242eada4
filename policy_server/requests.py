"""What requests of sessions may say."""

from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.errors import ContractMismatch, InvalidMessage
from policy_api.schema import first_difference

from policy_server.seam import Priority
from policy_server.served import ServedRevision

_MAX_NAME = 128
_PRIORITIES: dict[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.ROBOT,
    pb.ROBOT: Priority.ROBOT,
    pb.EVALUATION: Priority.EVALUATION,
    pb.SHADOW: Priority.SHADOW,
}
_OUTCOMES: dict[int, str] = {
    pb.OUTCOME_UNSPECIFIED: "",
    pb.SUCCESS: "success",
    pb.FAILURE: "failure",
    pb.DISCARDED: "discarded",
}


def priority_of(number: int) -> Priority:
    """Enum on the wire -> priority; InvalidMessage if it is unknown."""
    priority = _PRIORITIES.get(number)
    if priority is None:
        raise InvalidMessage(f"priority {number} is unknown; send ROBOT, EVALUATION or SHADOW")
    return priority


def outcome_of(number: int) -> str:
    """Enum on the wire -> "success", "failure", "discarded" or ""; InvalidMessage if it is unknown."""
    outcome = _OUTCOMES.get(number)
    if outcome is None:
        raise InvalidMessage(f"outcome {number} is unknown; send SUCCESS, FAILURE, DISCARDED or nothing")
    return outcome


def check_names(**names: str) -> None:
    """Raise InvalidMessage for a name that is too long."""
    for name, value in names.items():
        if len(value) > _MAX_NAME:
            raise InvalidMessage(f"{name} has {len(value)} characters; at most {_MAX_NAME} are taken")


def check_contract(request: pb.OpenSessionRequest, served: ServedRevision) -> None:
    """Raise ContractMismatch, naming the first field that differs, unless the caller expects this contract."""
    if request.HasField("expect_spec"):
        found = first_difference(serde.spec_from_proto(request.expect_spec)[0], served.spec)
        if found is not None:
            raise ContractMismatch(
                f"contracts differ at {found} (robot against policy); "
                "load a checkpoint trained for this robot, or set the robot up like the checkpoint"
            )
    if request.expect_spec_hash not in ("", served.spec_hash):
        raise ContractMismatch(
            f"contracts differ: the robot expects {request.expect_spec_hash}, model {served.spec.model!r} has "
            f"{served.spec_hash}; send the whole contract (expect_spec) to learn which field, or read ours with "
            "GetServerInfo"
        )

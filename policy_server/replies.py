"""What is said of an answer: to the robot, and to whoever watches the server."""

from policy_api import policy_pb2 as pb
from policy_api.schema import ActionChunk, Observation, Timing

from policy_server.decoding import Decoded
from policy_server.front import Caller
from policy_server.observing import Chunk
from policy_server.seam import Answer, Placement
from policy_server.served import ServedRevision


def chunk_of(answer: Answer, observation: Observation, decoded: Decoded, served: ServedRevision) -> ActionChunk:
    """The chunk that answers an observation."""
    return ActionChunk(
        actions=answer.actions,
        dt_ns=served.spec.dt_ns,
        first_step=observation.step,
        observation_ns=observation.stamp_ns,
        revision=served.revision,
        timing=Timing(
            queue_us=answer.queue_ns // 1000,
            decode_us=decoded.decode_ns // 1000,
            preprocess_us=(decoded.preprocess_ns + answer.preprocess_ns) // 1000,
            infer_us=answer.infer_ns // 1000,
            postprocess_us=answer.postprocess_ns // 1000,
            batch=answer.batch,
        ),
        frozen_rows=answer.frozen_rows,
        merge="rtc_prefix" if answer.frozen_rows else "",
        spec_hash=served.spec_hash,
    )


def told_of(
    answer: Answer, message: pb.InferRequest, decoded: Decoded, robot_id: str, placement: Placement, caller: Caller
) -> Chunk:
    """What observers learn of it."""
    return Chunk(
        robot_id=robot_id,
        model=placement.served.spec.model,
        revision=placement.served.revision,
        slot=placement.slot,
        seq=message.seq,
        step=message.step,
        batch=answer.batch,
        decode_ns=decoded.decode_ns,
        preprocess_ns=decoded.preprocess_ns + answer.preprocess_ns,
        queue_ns=answer.queue_ns,
        infer_ns=answer.infer_ns,
        postprocess_ns=answer.postprocess_ns,
        trace=caller.trace,
    )

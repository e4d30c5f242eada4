"""One observation of a connection, from its bytes to the reply: an event loop waits for it and never works on it."""

import asyncio
import logging
from concurrent.futures import Executor

from policy_api.errors import DeadlineExceeded, PolicyApiError
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from policy_server.openpi.session import MAX_WAIT_S, OpenPiSession

log = logging.getLogger(__name__)

_MAX_TEXT = 1000  # a refusal may quote the peer


async def reply_to(
    data: bytes | str, session: OpenPiSession, connection: ServerConnection, pool: Executor
) -> bytes | str:
    """The answer as bytes; a refusal as a text, which openpi's client raises. `pool` reads and decodes."""
    if isinstance(data, str):
        return "an observation is a binary message (msgpack), this is a text"
    loop = asyncio.get_running_loop()
    try:
        question = await loop.run_in_executor(pool, session.ask, data, lambda: connection.state is State.OPEN)
    except PolicyApiError as error:
        return _text(error)
    except Exception:  # a defect of ours must not show its insides
        log.exception("an observation could not be taken")
        return "the server failed; its log holds the cause"
    refusal: PolicyApiError
    try:
        answer = await asyncio.wait_for(asyncio.wrap_future(question.request.answer), MAX_WAIT_S)
        return session.answered(question, answer)
    except asyncio.TimeoutError:
        refusal = DeadlineExceeded(f"the policy gave no answer within {MAX_WAIT_S:g} s; send a new observation")
    except PolicyApiError as error:
        refusal = error
    session.refused(question, refusal)
    return _text(refusal)


def _text(error: PolicyApiError) -> str:
    text = str(error)[:_MAX_TEXT]
    log.info("refused: %s: %s", type(error).__name__, text)
    return text

"""Sessions and operators at once, in any order: nothing is refused that should not be, and nothing is left over."""

import random
import threading

from policy_api.errors import UnknownRevision
from revision_policies import ask, until

from policy_server.revisions.errors import InvalidTraffic, RevisionInUse
from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.traffic import Traffic
from policy_server.seam import Answer

NAMES = {letter: letter * 64 for letter in "abcd"}


def test_sessions_go_on_while_operators_change_everything(hub, operations, catalog, add):
    for letter in NAMES:
        add(letter)
    stop, wrong, answered = threading.Event(), [], []

    def run(number):
        try:
            robot(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test has to see it
            wrong.append(error)

    def robot(number):
        draw = random.Random(number)
        episode = 0
        while not stop.is_set():
            episode += 1
            placement = hub.place(f"robot {number}", str(episode), "", "", draw.random() < 0.2)
            try:
                for _ in range(draw.randint(0, 3)):
                    result = ask(hub, placement)
                    expected = ord(placement.served.revision[0]) - ord("a") + 1
                    if not isinstance(result, Answer) or round(float(result.actions[0, 0]) * 1000) != expected:
                        wrong.append(result)
                    answered.append(number)
            finally:
                hub.release(placement, draw.choice(["", "success", "failure", "discarded"]))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    draw = random.Random(7)
    refused = []
    try:
        for _ in range(150):
            stable, canary, shadow = draw.sample(sorted(NAMES.values()), 3)
            wanted = Traffic("", stable, canary, draw.random(), shadow, draw.random(), etag=0)
            limits = Guardrails(min_answers=3, min_episodes=2, max_success_drop=0.01)
            change = draw.choice(["traffic", "traffic", "rollback", "unload", "load"])
            try:
                if change == "traffic":
                    operations.set_traffic(wanted, limits)
                elif change == "rollback":
                    operations.rollback("", "storm")
                elif change == "unload":
                    operations.unload(stable, False)
                else:
                    missing = [letter for letter, name in NAMES.items() if catalog.loaded(name, "echo") is None]
                    for letter in missing[:1]:
                        add(letter)
            except (InvalidTraffic, RevisionInUse, UnknownRevision) as error:
                refused.append(error)
            seen = len(answered)
            until(lambda: len(answered) > seen or wrong)  # noqa: B023 - called at once
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert len(refused) < 150
    assert [view.sessions for view in operations.revisions("")] == [0] * len(operations.revisions(""))
    assert catalog.store.used_bytes == 1_000_000 * len(operations.revisions(""))

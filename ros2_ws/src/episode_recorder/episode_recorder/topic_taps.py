"""Raw subscriptions that follow their publishers: type and QoS are taken from whoever publishes."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

QUEUE_DEPTH = 200
"""Messages the middleware keeps for us: 1 s of a 200 Hz topic."""

OnRaw = Callable[[str, str, bytes], None]


class TopicTaps:
    """Subscribes to each topic once somebody publishes it; `on_raw(topic, msgtype, cdr)` gets every message."""

    def __init__(self, node: Node, topics: Iterable[str], on_raw: OnRaw) -> None:
        self._node = node
        self._waiting = list(topics)
        self._on_raw = on_raw

    @property
    def waiting(self) -> list[str]:
        """Topics that nobody publishes yet."""
        return list(self._waiting)

    def look_for_publishers(self) -> None:
        """Subscribe to what has appeared since the last call; call it now and then."""
        for topic in self.waiting:
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            msgtype = publishers[0].topic_type
            self._waiting.remove(topic)
            try:
                message_class = load_message_class(msgtype)
            except (ImportError, AttributeError) as error:
                self._node.get_logger().error(f"{topic} is not recorded: no Python type {msgtype} ({error})")
                continue
            qos = _qos_for([publisher.qos_profile for publisher in publishers])
            self._node.create_subscription(message_class, topic, self._tap(topic, msgtype), qos, raw=True)

    def _tap(self, topic: str, msgtype: str) -> Callable[[bytes], None]:
        return lambda cdr: self._on_raw(topic, msgtype, cdr)


def load_message_class(msgtype: str) -> type[Any]:
    """Class of a message type such as "sensor_msgs/msg/JointState"; ImportError or AttributeError if absent."""
    package, _, name = msgtype.split("/")
    loaded: type[Any] = getattr(importlib.import_module(f"{package}.msg"), name)
    return loaded


def _qos_for(offered: list[QoSProfile]) -> QoSProfile:
    """Ask for the most that every publisher offers."""
    reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        depth=QUEUE_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )

"""The driver's parameters: names, defaults, checks."""

import re
from dataclasses import dataclass, fields
from typing import Any

from motion_control import Timeouts
from node_runtime.main import SetupError
from rclpy.node import Node


@dataclass(frozen=True)
class DriverParameters:
    """ROS parameters of `piper_driver`; a field is a parameter of the same name and type."""

    arm: str = ""
    """Name of this arm where there are several, as `left`: its joints are then `left_joint1` .. and its frames
    `left_base_link` ... Start it in a namespace of the same name."""
    can_interface: str = "socketcan"
    """`socketcan` for an arm, `udp_multicast` for a virtual one in another process."""
    can_channel: str = "can0"
    """Network device, or the multicast group's address."""
    can_port: int = 43113
    """UDP port of `udp_multicast`."""
    autostart: bool = True
    """Configure and activate at start; without it a lifecycle manager does."""
    auto_enable: bool = False
    """Turn torque on as soon as the arm is heard."""
    gripper_effort_nm: float = 1.0
    """Torque the gripper may use, 0 to 5 N m."""
    tcp_speed_m_s: float = 0.25
    """Largest speed of the tool centre point, 0.01 to 3 m/s."""
    stale_timeout_s: float = 1.0
    """No new chunk for this long after the last waypoint: HOLD."""
    first_chunk_timeout_s: float = 10.0
    """Policy authority without a first chunk for this long: HOLD."""
    feedback_hold_s: float = 0.04
    """No feedback from the arm for this long: HOLD."""
    feedback_fault_s: float = 0.1
    """No feedback from the arm for this long: FAULT."""
    tracking_error_rad: float = 0.15
    """A joint further from where it was told to be: HOLD where it is. 0.02 to 1 rad."""
    late_ticks_to_hold: int = 4
    """So many late periods in a row: HOLD. 1 to 1000."""

    def __post_init__(self) -> None:
        for name in ("stale_timeout_s", "first_chunk_timeout_s", "feedback_hold_s", "feedback_fault_s"):
            if not 0.01 <= getattr(self, name) <= 3600.0:
                raise SetupError(f"parameter {name} is {getattr(self, name)}; expected 0.01 to 3600 seconds")
        if self.arm and not re.fullmatch("[a-z][a-z0-9_]*", self.arm):
            raise SetupError(f"parameter arm is {self.arm!r}; expected lower-case letters, as 'left', or nothing")
        if self.feedback_hold_s > self.feedback_fault_s:
            raise SetupError(
                f"parameter feedback_hold_s is {self.feedback_hold_s}, above feedback_fault_s, {self.feedback_fault_s}"
            )
        if not 0.02 <= self.tracking_error_rad <= 1.0:
            raise SetupError(f"parameter tracking_error_rad is {self.tracking_error_rad}; expected 0.02 to 1 rad")
        if not 1 <= self.late_ticks_to_hold <= 1000:
            raise SetupError(f"parameter late_ticks_to_hold is {self.late_ticks_to_hold}; expected 1 to 1000")
        if not 0.0 <= self.gripper_effort_nm <= 5.0:
            raise SetupError(f"parameter gripper_effort_nm is {self.gripper_effort_nm}; expected 0 to 5 N m")
        if not 0.01 <= self.tcp_speed_m_s <= 3.0:
            raise SetupError(f"parameter tcp_speed_m_s is {self.tcp_speed_m_s}; expected 0.01 to 3 m/s")
        if not 1 <= self.can_port <= 65535:
            raise SetupError(f"parameter can_port is {self.can_port}; expected 1 to 65535")

    @classmethod
    def of(cls, node: Node) -> "DriverParameters":
        """Declare and read the parameters of `node`. Raises `SetupError` for a value out of range."""
        return cls(**{f.name: node.declare_parameter(f.name, f.default).value for f in fields(cls)})

    @property
    def timeouts(self) -> Timeouts:
        """The controller's timeouts."""
        return Timeouts(
            stale_ns=int(self.stale_timeout_s * 1e9),
            first_chunk_ns=int(self.first_chunk_timeout_s * 1e9),
            feedback_hold_ns=int(self.feedback_hold_s * 1e9),
            feedback_fault_ns=int(self.feedback_fault_s * 1e9),
        )

    @property
    def prefix(self) -> str:
        """What stands in front of this arm's joints and frames."""
        return f"{self.arm}_" if self.arm else ""

    @property
    def bus_options(self) -> dict[str, Any]:
        """What python-can needs besides interface and channel."""
        return {"port": self.can_port} if self.can_interface == "udp_multicast" else {}

    @property
    def bus_name(self) -> str:
        """The channel's name for people and for its lock."""
        port = f" {self.can_port}" if self.can_interface == "udp_multicast" else ""
        return f"{self.can_interface} {self.can_channel}{port}"

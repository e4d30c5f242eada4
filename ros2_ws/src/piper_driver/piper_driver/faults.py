"""Every fault that the driver knows: its id, and what to do about it. The words are made where it is found."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class FaultId(str, Enum):
    """Ids as they appear on `~/status` and in diagnostics."""

    BUS_OFF = "bus-off"
    BUS_LOST = "bus-lost"
    SEND_BLOCKED = "send-blocked"
    FEEDBACK_SILENT = "feedback-silent"
    FEEDBACK_FROZEN = "feedback-frozen"
    FEEDBACK_IMPLAUSIBLE = "feedback-implausible"
    TRACKING_ERROR = "tracking-error"
    FOREIGN_WRITER = "foreign-writer"
    ARM_STATUS = "arm-status"
    ARM_STOPPED = "arm-stopped"
    COLLISION = "collision"
    JOINT_UNREACHABLE = "joint-unreachable"
    MOTOR_FAULT = "motor-fault"
    OVER_TEMPERATURE = "over-temperature"
    TORQUE_LOST = "torque-lost"
    TORQUE_UNKNOWN = "torque-unknown"
    LOOP_LATE = "loop-late"
    DRIVER = "driver"
    # reasons not to give an arm torque
    NO_FEEDBACK = "no-feedback"
    LEADER_MODE = "leader-mode"
    OFFSET_IDS = "offset-ids"
    TEACH_MODE = "teach-mode"
    FIRMWARE_SILENT = "firmware-silent"
    FIRMWARE_UNKNOWN = "firmware-unknown"
    LIMITS_SILENT = "limits-silent"
    LIMITS_CORRUPT = "limits-corrupt"


REMEDIES: Final = {
    FaultId.BUS_OFF: "check cable, termination and bit rate (1 Mbit/s); the interface comes back by itself if it was "
    "brought up with restart-ms 100; then clear_fault",
    FaultId.BUS_LOST: "plug the adapter in and bring the interface up; the driver opens it by itself; then clear_fault",
    FaultId.SEND_BLOCKED: "is the arm powered (nobody else acknowledges frames)? raise txqueuelen to 100; then "
    "clear_fault",
    FaultId.FEEDBACK_SILENT: "check the arm's power and the CAN cable; then clear_fault",
    FaultId.FEEDBACK_FROZEN: "the arm repeats old values: power-cycle it with the arm supported, then enable again",
    FaultId.FEEDBACK_IMPLAUSIBLE: "check cable and termination; if one joint goes on, its encoder needs service",
    FaultId.TRACKING_ERROR: "something is in the arm's way, or it carries too much: free it, then go on from HOLD",
    FaultId.FOREIGN_WRITER: "stop the other program, or take the leader arm off this bus; then clear_fault",
    FaultId.ARM_STATUS: "read what the arm reports, remove the cause, then clear_fault",
    FaultId.ARM_STOPPED: "only a reset ends it, and a reset cuts the torque: support the arm, then call "
    "reset_drops_arm twice, or power-cycle it",
    FaultId.COLLISION: "free the arm; then clear_fault. If the arm still reports it: support the arm, then call "
    "reset_drops_arm twice",
    FaultId.JOINT_UNREACHABLE: "switch the arm off and check the cables inside it",
    FaultId.MOTOR_FAULT: "support the arm, switch it off and on; if it comes back, the joint needs service",
    FaultId.OVER_TEMPERATURE: "park the arm or support it, switch the torque off and let it cool",
    FaultId.TORQUE_LOST: "support the arm, find out why (supply, e-stop button), then clear_fault and enable",
    FaultId.TORQUE_UNKNOWN: "check the CAN cable; then clear_fault",
    FaultId.LOOP_LATE: "take load off this machine, or grant real-time priority",
    FaultId.DRIVER: "read the driver's log; then clear_fault",
    FaultId.NO_FEEDBACK: "is the arm powered, the cable connected and the bit rate 1 Mbit/s?",
    FaultId.LEADER_MODE: "make it a follower: send 0x470 with byte 0 = 0xFC (PiperHost.send_follower_role), "
    "power-cycle it; and take a leader arm off this bus",
    FaultId.OFFSET_IDS: "set its feedback and control offsets back to 0 (0x470 with the bytes FC 00 00 00), "
    "power-cycle it",
    FaultId.TEACH_MODE: "end teaching with the arm's button; if it stays, support the arm, then call "
    "reset_drops_arm twice",
    FaultId.FIRMWARE_SILENT: "is it a leader arm (make it a follower), or is something else on this bus?",
    FaultId.FIRMWARE_UNKNOWN: "see the firmware table in docs/bring-up.md",
    FaultId.LIMITS_SILENT: "power-cycle the arm; if it stays, update its firmware with the vendor's tool",
    FaultId.LIMITS_CORRUPT: "restore the factory limits with the vendor's tool (0x474 and 0x475), then power-cycle",
}


@dataclass(frozen=True)
class Fault:
    """What was found. `words` say what happened, with figures."""

    id: FaultId
    words: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.id]

    def __str__(self) -> str:
        return f"{self.words} [{self.id.value}]: {self.remedy}"

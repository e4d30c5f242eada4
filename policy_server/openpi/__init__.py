"""A door for robots that speak openpi's WebSocket protocol: they use the server unchanged.

A connection is a session. The server says on connecting what it serves (a map, below), then answers one observation
after the other. Messages are msgpack with openpi's extension for numpy arrays; nothing in them is ever executed.

An observation is a map. Keys with `/` may also be nested maps; of several the first that is there counts; others are
named with `--openpi-key NAME=KEY`.

- camera NAME: `images/NAME`, `observation/images/NAME`, `observation/NAME`, `NAME`; if there is one camera only, also
  `observation/image`, `image`. A frame (H, W, 3) uint8 RGB of the camera's own size, or the bytes of a JPEG of it.
- state: `state`, `observation/state`. (F,) numbers, the contract's fields in order. `--openpi-key state=A+B` joins two.
- instruction: `prompt`, a text.
- `step`, if it is there: index of the control step. Without it chunks are taken to be played whole.
- `episode`, if it is there: a text; another one than before begins a new episode, as a reset does.

Other keys are ignored. An answer has `actions` (H, A) float32, `server_timing` and `policy_timing` in ms, `revision`.
A refused observation is answered with a text instead of a map, which openpi's client raises as RuntimeError; the
connection stays open. `ws://HOST:PORT/?robot_id=NAME&model=NAME` names the robot and chooses among several models.

Connections cannot be encrypted here, because openpi's client has no certificate to show: listen on loopback and reach
the server through an SSH tunnel. Browsers are refused, so that no web page can act as a robot.
"""

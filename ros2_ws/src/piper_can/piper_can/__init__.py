"""The Piper's CAN protocol: one DBC file, codec, bus, host side."""

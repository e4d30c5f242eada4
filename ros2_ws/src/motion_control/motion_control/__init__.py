"""Everything between an action chunk and a joint setpoint: decoding, schedule, limiter, modes, watchdog."""

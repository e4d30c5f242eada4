"""The same service with its policies on Ray Serve: more replicas of a policy than one process or one machine holds.

The gRPC server stays the plain one, with its certificates, limits, deadlines and drain; behind it stand no policies but
handles of Ray Serve deployments, one deployment a model and one policy with its own micro-batches a replica. Ray's own
gRPC proxy is not used: it listens on every interface without TLS, and hands on neither the deadline of a call nor the
name in a certificate.

A session lives in the replica that opened it, and its id names that replica: requests find it without a table that
could be lost, from any server process. Sessions are opened in turn by the replicas. Nothing of a session is copied: its
memory is too fresh to be worth copying, and a robot opens a new session within milliseconds. If a replica dies its
sessions are unknown from then on (NOT_FOUND), the others notice nothing, and Ray starts another replica.
"""

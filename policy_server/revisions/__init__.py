"""Many revisions of a policy in one server, changed while robots run."""

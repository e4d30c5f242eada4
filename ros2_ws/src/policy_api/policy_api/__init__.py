"""The contract between policies and robots: schema, wire format, client, image path."""

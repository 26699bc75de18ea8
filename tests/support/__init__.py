"""What tests share: programs to start, servers that misbehave, databases, peers of the store."""

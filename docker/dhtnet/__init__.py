"""A network of voiddht nodes in containers: what docker/swarm, partition and netem share."""

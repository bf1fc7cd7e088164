"""A network of voiddht nodes in containers: what docker/swarm, service and netem share."""

"""What all Proofloop services share."""

import os

# gRPC's handlers for fork write to the connections of the parent in the child, and so spoil their encryption
# (grpc/grpc#28557). We fork only to execute another program at once, for which gRPC itself says to turn them off,
# before its first use.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

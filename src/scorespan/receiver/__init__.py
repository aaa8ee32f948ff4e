"""The OTLP door: takes export requests from a Collector or an application and answers for them."""

from __future__ import annotations

import os

# The gRPC library writes to stderr what strangers sent, byte for byte, and waits for it to be read.
# It looks here when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

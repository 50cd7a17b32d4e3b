"""Run the packets service: `python -m proofloop_packets`."""

from proofloop_runtime.server import run

from proofloop_packets.bootstrap import application

if __name__ == "__main__":
    run(application)

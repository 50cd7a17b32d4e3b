"""Run the exports service: `python -m proofloop_exports`."""

from proofloop_runtime.server import run

from proofloop_exports.bootstrap import application

if __name__ == "__main__":
    run(application)

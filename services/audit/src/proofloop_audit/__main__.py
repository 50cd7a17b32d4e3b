"""Run the audit service: `python -m proofloop_audit`."""

from proofloop_runtime.server import run

from proofloop_audit.bootstrap import application

if __name__ == "__main__":
    run(application)

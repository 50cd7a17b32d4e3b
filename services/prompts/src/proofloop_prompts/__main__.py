"""Run the prompts service: `python -m proofloop_prompts`."""

from proofloop_runtime.server import run

from proofloop_prompts.bootstrap import application

if __name__ == "__main__":
    run(application)

"""One parser per family of formats; each takes an open file and limits, and returns facts and marks.

A parser handles what its format's library documents as failure. Anything else a hostile file provokes is
the business of the process around it (``inspection.inspect_in_process``).
"""

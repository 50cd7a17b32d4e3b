"""What can go wrong on one machine, in words that say what to do."""


class ServerError(Exception):
    """Something of the local stack does not work: `problem` says what, `advice` what to do about it."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}. {advice}.")
        self.problem = problem
        self.advice = advice

"""The errors a user meets: what was found, what was wanted, what to do."""


class ElastixError(Exception):
    """One clear error: raised for bad input; the command line prints it and exits with 1.

    found: what is there; wanted: what was expected; do: the user's next step. Each is a phrase without a final stop.
    """

    def __init__(self, found: str, *, wanted: str = "", do: str = "") -> None:
        self.found, self.wanted, self.do = found, wanted, do
        parts = [found, wanted and f"wanted: {wanted}", do]
        super().__init__("; ".join(part for part in parts if part))


class CannotCompile(ElastixError):
    """An op that no engine of ours can run; `where` is the line of the user's model, if known."""

    def __init__(self, op: str, *, where: str = "", why: str = "", do: str = "") -> None:
        self.op, self.where = op, where
        at = f"{where}: " if where else ""
        super().__init__(f"{at}cannot compile {op}" + (f": {why}" if why else ""), do=do)

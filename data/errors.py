"""Errors that a command shows as one line, without a traceback."""


class ProjectError(Exception):
    """What the user can mend: commands print its text and exit with status 2."""


class DataContractError(ProjectError):
    """A file or a table is not what the contract says."""


class MissingExtraError(ProjectError):
    """An optional package or its weights are not installed."""


class NetworkError(ProjectError):
    """A server can't be reached, or does not send what it promised."""


class ExperimentError(ProjectError):
    """The server or a participant's session can't go on."""

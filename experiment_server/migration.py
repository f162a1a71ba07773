"""Bringing a database's tables up to date, by the steps in ``migrations``."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def known_revisions() -> set[str]:
    """Return the name of every schema that this program knows."""
    scripts = ScriptDirectory.from_config(_config())
    return {script.revision for script in scripts.walk_revisions()}


def newest_revision() -> str:
    """Return the name of the schema that this program uses."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def present_revision(connection: Connection) -> str | None:
    """Return the schema of a database; None where there is none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the missing steps within the connection's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take steps back within the connection's transaction; what they added is lost."""
    config = _config()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)

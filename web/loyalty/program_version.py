"""How every process learns that something of a programme was changed: its version moves on."""

from sqlalchemy import Integer, column, table, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, utc_now

# The room of a programme imports the rooms of what belongs to it; those need no more of it than this.
_program = table("program", column("id", Id()), column("version", Integer), column("updated_at", Moment()))


def program_changed(conn: Connection, program_id: str) -> None:
    """Let each process load the programme anew, within seconds of the commit."""
    conn.execute(
        update(_program)
        .where(_program.c.id == program_id)
        .values(version=_program.c.version + 1, updated_at=utc_now())
    )

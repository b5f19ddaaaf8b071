"""The JSON API `/v1`: what a merchant's server calls. One module for each resource.

A new resource is a module with its shapes, its operations and `ROUTES`, which `index.py` lists:

    class NewThing(Input):            # forbids unknown fields; camelCase on the wire
        name: Annotated[str, Meta(min_length=1, max_length=80)]

    class ThingShown(Output): ...

    @operation("POST", "/v1/programs/{program}/things", scope="write", tag="Things", status=201,
               example=NewThing(name="A thing"), answer=EXAMPLE, failures=("conflict",))
    async def create_thing(call: Call, data: NewThing) -> ThingShown:
        \"\"\"Make a thing.

        What a caller should know beyond that.
        \"\"\"
        return await call.write(_create, call.program.id, data)

    def _create(conn: Connection, program_id: str, new: NewThing) -> ThingShown: ...

`operation` authenticates, checks the key's scope and programme, counts, reads the query (`query: ThingQuery`) and the
body (`data`) strictly, and writes the answer; the same declaration is what the OpenAPI document is made of, so it needs
an example of each body and answer. A write goes through `call.write(unit, …)`: one transaction, once for each
Idempotency-Key, the unit's result being the answer. A read goes through `call.read(unit, …)`. What cannot be done is
raised as a `Problem` of one of the `KINDS`, from the unit too: nothing is kept then. A list that may grow takes a
`PageQuery` and answers a `Page[ThingShown]`. A new name in an address gets its line in `document.PARAMETERS`.
"""

from web.api import viewer
from web.api.index import OPERATIONS
from web.api.operation import options_of

# OPTIONS first: the router makes its own for an address that has none yet.
ROUTES = (*options_of(OPERATIONS), *OPERATIONS, *viewer.ROUTES)

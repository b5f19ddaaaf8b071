"""Custom earning flows: a merchant's own systems carry them out, or the customer's app with the customer's token."""

from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.balances import ledger_problems
from web.api.call import Call
from web.api.customers import require_customer
from web.api.earning_flows import TAG, require_flow
from web.api.locations import require_location
from web.api.operation import operation
from web.api.problems import Fault, Problem, invalid
from web.api.shapes import A_CUSTOMER, Id, Input, Output, PointsShown, shown
from web.api.traces import CheckShown, checks_of
from web.foundation.schema import new_id, utc_now
from web.loyalty.earning import Execution, LimitReached, NotEarned, run_flow
from web.loyalty.earning_rules import Check, Happening, Recurrence, Trace

CUSTOM = "CUSTOM_"


class ExecutionGiven(Input):
    """For whom: the customer's address, or `customerId` (ours, or yours). A customer's own token needs neither."""

    customer_email: Annotated[str, Meta(max_length=254)] | None = None
    customer_id: Annotated[str, Meta(max_length=254)] | None = None
    location_id: Annotated[str, Meta(max_length=120, description="A location's id or slug.")] | None = None


class ExecutionShown(Output):
    """What came of it. `remainingExecutions` is how often more in this period; null is without limit."""

    points_awarded: PointsShown
    remaining_executions: int | None
    recurrence: Recurrence
    transaction_id: Id | None
    checks: list[CheckShown]


EXAMPLE_EXECUTION = ExecutionShown(
    points_awarded=5,
    remaining_executions=0,
    recurrence="day",
    transaction_id=A_CUSTOMER,
    checks=[CheckShown(rule="period", passed=True, needed=1, found=0)],
)


@operation(
    "POST",
    "/v1/programs/{program}/custom-earning-flows/{flow}/execute",
    scope="write",
    tag=TAG,
    customers=True,
    example=ExecutionGiven(customer_email="ana@example.com"),
    answer=EXAMPLE_EXECUTION,
    failures=("conflict",),
)
async def execute_custom_earning_flow(call: Call, data: ExecutionGiven) -> ExecutionShown:
    """Execute a custom earning flow.

    `{flow}` is its id or its type, like `CUSTOM_1`. 409 where the customer had it as often as it may be had, or where
    a condition does not hold; `errors` names it.
    """
    return await call.write(_execute, call, data)


def _execute(conn: Connection, call: Call, data: ExecutionGiven) -> ExecutionShown:
    named = data.customer_email or data.customer_id or call.customer_id
    if named is None:
        raise invalid("/customerEmail", "Name the customer by `customerEmail` or `customerId`.")
    customer_id = require_customer(conn, call, named)
    flow = require_flow(conn, call.program, call.path["flow"])
    if not flow.type.startswith(CUSTOM):
        raise Problem("not-found", "Only custom earning flows are executed; others follow what happens.")
    named_shop = data.location_id
    shop = require_location(conn, call.program.id, named_shop, "/locationId") if named_shop else None
    happened = Happening(at=utc_now(), location_id=shop.id if shop else None)
    source = "api" if call.key else "customer"
    scale = call.program.settings.scale
    try:
        with ledger_problems(scale, ""):
            done = run_flow(
                conn,
                call.program,
                customer_id,
                flow.id,
                happened,
                key=new_id(),
                source=source,
                actor=call.actor,
            )
    except LimitReached as error:
        detail = "The customer had it as often as it may be had."
        raise Problem("conflict", detail, *_failed(error.trace)) from None
    except NotEarned as error:
        raise Problem("conflict", "A condition does not hold.", *_failed(error.trace)) from None
    return _execution(done, scale)


def _failed(trace: Trace) -> list[Fault]:
    return [Fault(parameter="flow", detail=_said(check)) for check in trace.failed]


def _said(check: Check) -> str:
    return f"{check.rule}: needed {check.needed}, found {check.found}."


def _execution(done: Execution, scale: int) -> ExecutionShown:
    return ExecutionShown(
        points_awarded=shown(done.points, scale),
        remaining_executions=done.remaining,
        recurrence=done.recurrence,
        transaction_id=done.entry_id,
        checks=checks_of(done.trace),
    )


ROUTES = (execute_custom_earning_flow,)

"""Receipts and the lines made of them, for the tests of spool and books."""

import msgspec

from spanmeter_gateway.receipt import OpenCall, Receipt, Trace

STARTED_AT_NS = 1_700_000_000_000_000_000


def a_receipt(call_id: str, **fields: object) -> Receipt:
    trace = Trace(trace_id=call_id.rjust(32, "0"), span_id=call_id.rjust(16, "0"))
    receipt = Receipt(
        call_id=call_id,
        started_at_ns=STARTED_AT_NS,
        duration_ns=1_000,
        outcome="ok",
        feature="checkout",
        trace=trace,
    )
    return msgspec.structs.replace(receipt, **fields)


def receipt_line(call_id: str, **fields: object) -> bytes:
    return msgspec.json.encode(a_receipt(call_id, **fields))


def open_line(call_id: str, **fields: object) -> bytes:
    return msgspec.json.encode(OpenCall(receipt=a_receipt(call_id, **fields)))

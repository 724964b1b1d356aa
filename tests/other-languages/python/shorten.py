"""A filter in Python: cuts a text that is too long, and says how long it was.

It works on columns: a text is a place in the batch's text (start, length), so the shorter text is a place too, and nothing
is copied.
"""

import json
from typing import List

from componentize_py_types import Err
import wit_world.exports
from wit_world.exports.filter import Access, Environment, Extent, Manifest, Plan, Planned, Problem
from wit_world.imports.columns import (
    Answer, Batch, Column_Integer, Column_Mixed, Column_Text, Cell_Text, Numbers, Outcome, Texts, Verdict,
)

NO_VALUE = 0xFFFFFFFF

SCHEMA = {
    "type": "object",
    "properties": {
        "source": {"type": "string", "default": "message", "description": "The field that is cut."},
        "longest": {"type": "number", "default": 20, "description": "The longest text, in bytes."},
    },
    "additionalProperties": False,
}

# The numbers of the plan's fields.
SOURCE, LENGTH = 0, 1


# What the filter keeps: each call comes to a new `Filter`.
longest = 20
seen = 0


class Filter(wit_world.exports.Filter):
    def describe(self) -> Manifest:
        return Manifest("shorten", "0.1.0", "cuts texts that are too long", json.dumps(SCHEMA), "", 1)

    def configure(self, options: str, environment: Environment) -> Plan:
        global longest
        given = json.loads(options)
        problems = [
            Problem("/" + name, f"unknown option {name}", "its options are source, longest")
            for name in given
            if name not in SCHEMA["properties"]
        ]
        longest = given.get("longest", 20)
        if not isinstance(longest, int) or longest < 0:
            problems.append(Problem("/longest", "longest must be a whole number from 0", "longest = 20"))
        if problems:
            raise Err(problems)
        nothing = Access(0)
        fields = [
            Planned([given.get("source", "message")], Access.READ | Access.WRITE, Extent.ONE),
            Planned(["length"], Access.WRITE, Extent.ONE),
        ]
        return Plan(fields, nothing, True, 1, ["_shorten_failure"])

    def process(self, step: int, events: Batch) -> Answer:
        global seen
        rows = events.rows
        seen += rows
        starts, lens = [0] * rows, [NO_VALUE] * rows
        lengths, cut = [0] * rows, bytearray((rows + 7) // 8)
        for row, start, length in places(events.columns[SOURCE]):
            if length <= longest:
                continue
            end = start + longest
            # Not within a letter of several bytes.
            while end > start and events.text[end] & 0xC0 == 0x80:
                end -= 1
            starts[row], lens[row], lengths[row] = start, end - start, length
            cut[row // 8] |= 1 << row % 8
        if not any(cut):
            return Answer(b"", [], [], [], b"", [], [])
        cut = bytes(cut)
        sets = [
            (SOURCE, Column_Text(Texts(starts, lens))),
            (LENGTH, Column_Integer(Numbers(lengths, cut))),
        ]
        return Answer(b"", sets, [], [Verdict(Outcome.MATCHED, cut, [], "")], b"", [], [])

    def save(self) -> bytes:
        return str(seen).encode()

    def restore(self, state_version: int, state: bytes) -> None:
        global seen
        if state_version != 1:
            raise Err(f"its state has version {state_version}, not 1")
        seen = int(state)


def places(column) -> List[tuple]:
    """The rows that have a text, each with the text's start and length."""
    if isinstance(column, Column_Text):
        texts = column.value
        numbered = zip(range(len(texts.lens)), texts.starts, texts.lens)
        return [place for place in numbered if place[2] != NO_VALUE]
    if isinstance(column, Column_Mixed):
        return [(row, *cell.value) for row, cell in column.value if isinstance(cell, Cell_Text)]
    return []

"""What a body must be like beyond its schema, so that valid ones reach further than the first check of their fields.

Read by Schemathesis (SCHEMATHESIS_HOOKS). Changes only what was made to be valid.
"""

import schemathesis

# Of these fields a body has one.
ALTERNATIVES = [
    ("mediaId", "mediaBuffer", "mediaUrl"),
    ("buttons", "sections"),
    ("message", "event"),
    ("durationSeconds", "durationMs"),
    ("phoneNumber", "vcard"),
    ("id", "url"),
]


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is not None and case.meta.generation.mode.is_positive:
        choose(case.body, len(str(case.query)) + len(str(case.body)))


def choose(value, turn):
    """Leaves one of several alternatives, now this and now that."""
    if isinstance(value, list):
        for inner in value:
            choose(inner, turn)
    elif isinstance(value, dict):
        for names in ALTERNATIVES:
            there = [name for name in names if value.get(name) is not None]
            for name in there:
                if len(there) > 1 and name != there[turn % len(there)]:
                    del value[name]
        for inner in value.values():
            choose(inner, turn)

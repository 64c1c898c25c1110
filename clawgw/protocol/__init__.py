"""The wire protocol as data: every frame, parameter, result and event, for versions 3 and 4.

These definitions are the one source. The hot path decodes straight into them, which is the
validation; the JSON Schema in `docs/protocol/` and the Swift models are generated from them; the
tests hold the generated schema and the decoder against each other. Nothing here does I/O or
imports from the rest of clawgw.
"""

PROTOCOL_VERSIONS = (3, 4)

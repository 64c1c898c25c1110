"""The content of a prompt, from ACP blocks to what pydantic-ai sends.

Text stays text. Images, audio and documents go to the model as they are. A resource that is
text is written into the message between tags that name it; a link is named, not fetched: this
process reads no file and no address on its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

from acp import RequestError
from acp.schema import (
    AudioContentBlock,
    BlobResourceContents,
    EmbeddedResourceContentBlock,
    ImageContentBlock,
    ResourceContentBlock,
    TextContentBlock,
    TextResourceContents,
)

if TYPE_CHECKING:
    from pydantic_ai.messages import BinaryContent, UserContent

Block = (
    TextContentBlock
    | ImageContentBlock
    | AudioContentBlock
    | ResourceContentBlock
    | EmbeddedResourceContentBlock
)


def user_content(blocks: Sequence[Block]) -> str | list[UserContent]:
    """What the person said, for pydantic-ai; one string when it is all text.

    :raises RequestError: the prompt is empty, or binary data is not base64.
    """
    content = [_convert(index, block) for index, block in enumerate(blocks)]
    if not any(item.strip() if isinstance(item, str) else True for item in content):
        raise RequestError(-32602, "prompt: expected at least one block with content")
    # plain text as a plain string: not every compatible server understands a list of parts
    texts = [item for item in content if isinstance(item, str)]
    return "\n\n".join(texts) if len(texts) == len(content) else content


def _convert(index: int, block: Block) -> UserContent:
    match block:
        case TextContentBlock():
            return block.text
        case ImageContentBlock() | AudioContentBlock():
            return _binary(index, block.data, block.mime_type)
        case ResourceContentBlock():
            return f"[{block.title or block.name}]({block.uri})"
        case EmbeddedResourceContentBlock():
            return _resource(index, block.resource)


def _resource(index: int, resource: TextResourceContents | BlobResourceContents) -> UserContent:
    if isinstance(resource, TextResourceContents):
        return f'<resource uri="{resource.uri}">\n{resource.text}\n</resource>'
    return _binary(index, resource.blob, resource.mime_type or "application/octet-stream")


def _binary(index: int, data: str, media_type: str) -> BinaryContent:
    from pydantic_ai.messages import BinaryContent

    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(-32602, f"prompt[{index}]: expected base64 data") from None
    return BinaryContent(raw, media_type=media_type)

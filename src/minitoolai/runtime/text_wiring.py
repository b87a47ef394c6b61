"""What a gateway has of models that chat and embed, built for `wiring`: the use cases, and the routes over them."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.api.chat import add_chat
from minitoolai.api.embeddings import add_embeddings, embeddings_quoter
from minitoolai.api.messages.routes import add_messages
from minitoolai.api.quotes import Quoter, chat_quoter
from minitoolai.api.responses.routes import add_responses
from minitoolai.core.catalog import ChatModel, EmbeddingModel, Model
from minitoolai.edge.application import Routes
from minitoolai.runtime.paid_parts import PaidParts
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat
from minitoolai.services.embeddings import Embeddings
from minitoolai.services.ports import ChatEngine, EmbeddingEngine, Pictures
from minitoolai.services.routing import Router


@dataclass(frozen=True, slots=True)
class TextRoom:
    """The parts."""

    chat_router: Router[ChatModel, ChatEngine]
    embedding_router: Router[EmbeddingModel, EmbeddingEngine]
    chat: Chat
    embeddings: Embeddings

    def add_routes(self, routes: Routes, access: Access, *, max_body_bytes: int) -> None:
        """Add the routes of chat, on each of its surfaces, and of embeddings."""
        add_chat(routes, access, self.chat, max_body_bytes=max_body_bytes)
        add_messages(routes, access, self.chat, max_body_bytes=max_body_bytes)
        add_responses(routes, access, self.chat, max_body_bytes=max_body_bytes)
        add_embeddings(routes, access, self.embeddings, max_body_bytes=max_body_bytes)

    def quoters(self) -> dict[type[Model], Quoter]:
        """Return what quotes their calls."""
        return {ChatModel: chat_quoter(self.chat), EmbeddingModel: embeddings_quoter(self.embeddings)}


def text_room(parts: PaidParts, pictures: Pictures) -> TextRoom:
    """Return the parts; `pictures` puts callers' pictures into their calls."""
    chat_router: Router[ChatModel, ChatEngine] = parts.router(parts.engines.chat)
    embedding_router: Router[EmbeddingModel, EmbeddingEngine] = parts.router(parts.engines.embedding)
    chat = Chat(parts.catalog, chat_router, parts.metering, parts.calls, pictures, parts.replays)
    embeddings = Embeddings(parts.catalog, embedding_router, parts.metering, parts.calls, parts.replays)
    return TextRoom(chat_router, embedding_router, chat, embeddings)

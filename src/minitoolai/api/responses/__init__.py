"""OpenAI's Responses API: its body translated into a chat call, the chat's reply into a response."""

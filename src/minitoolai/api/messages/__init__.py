"""Anthropic's Messages API: its body translated into a chat call, the chat's reply into a message, errors in its shape."""

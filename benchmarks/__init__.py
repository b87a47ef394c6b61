"""The gateway benchmark: a fake upstream, a load client, and what drives both past gateways. See README.md."""

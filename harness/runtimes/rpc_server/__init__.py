"""JSON-RPC over HTTP and WebSocket on one port: the door between a node and whoever it does not know."""

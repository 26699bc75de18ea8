"""An MCP server of the official SDK, on standard input and output or on a port that is named."""

from __future__ import annotations

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("test")
if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run("stdio")

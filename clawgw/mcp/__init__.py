"""`clawgw mcp`: the Gateway's tools for agents, as an MCP server over stdio."""

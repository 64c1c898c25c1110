"""The built-in agent: an ACP agent of its own, run as ``python -m clawgw.agents.builtin``.

The Gateway starts it as a child and talks to it over stdin and stdout, exactly as it talks to
any other ACP agent; it never imports it. What the Gateway has to say beforehand is in two
environment variables: ``CLAWGW_AGENT_CONFIG`` (JSON, see :mod:`.config`) and, when the key is
written in the Gateway's own configuration, ``CLAWGW_AGENT_API_KEY``.

Four rules hold everywhere in this package:

* Stdout carries JSON-RPC and nothing else. Logs go to stderr, without message bodies.
* An API key leaves this process only towards the provider it belongs to.
* A turn that fails is a JSON-RPC error with one sentence for the person who waits, which says
  what failed and what to change. It is never chat text.
* Start-up imports little: ``initialize`` is answered before the model libraries are loaded,
  and a provider's SDK is loaded only when that provider is used.
"""

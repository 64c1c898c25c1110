"""Makes `twistd clawgw` known to Twisted; everything else is in `clawgw.service`."""

from twisted.application.service import ServiceMaker

clawgw = ServiceMaker(
    "clawgw",
    "clawgw.service",
    "The clawgw Gateway: chat surfaces, agents and nodes behind one WebSocket API.",
    "clawgw",
)

"""One port of loopback for UDP and TCP together, for peers that speak SIP over both."""

import asyncio

_ATTEMPTS = 20


async def open_both(make_protocol, host="127.0.0.1"):
    """Return a datagram transport with its protocol, and a server on the same port, both listening.

    Another process may hold the TCP port of a free UDP port: then another one is tried. The `serve` of the
    protocol gets the connections.
    """
    loop = asyncio.get_running_loop()
    for attempt in range(_ATTEMPTS):
        transport, protocol = await loop.create_datagram_endpoint(make_protocol, local_addr=(host, 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            return transport, protocol, await asyncio.start_server(protocol.serve, host, port)
        except OSError:
            transport.close()
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")

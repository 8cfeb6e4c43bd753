"""How journal bytes come in: from the socket, or from journals nobody sends."""

"""Running the server: sockets, TLS, one process or several, and a calm end."""

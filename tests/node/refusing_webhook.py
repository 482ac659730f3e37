"""A webhook that refuses everything with what it saw: proof of the way, run by `python3 -c`."""

import http.server
import json
import ssl


class Refusal(http.server.BaseHTTPRequestHandler):
    """Answers every review with a refusal that names the request's own Host header."""

    def do_POST(self) -> None:
        """Answer a review."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = f"seen as {self.headers['Host']} over {self.request_version}"
        response = {
            "uid": review["request"]["uid"],
            "allowed": False,
            "status": {"message": message},
        }
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server = http.server.ThreadingHTTPServer(("", 8443), Refusal)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()

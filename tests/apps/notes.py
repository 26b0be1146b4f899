"""A small real application: notes in a database, with log-in, forms and JSON.

    python3 notes.py PORT_FILE LOG_FILE

Listens on a free port of loopback, writes the port to PORT_FILE, and one line of JSON for each
request to LOG_FILE: when it came (nanoseconds since 1970), what was asked, who asked, what was
answered.
"""

import http.cookies
import http.server
import json
import secrets
import sqlite3
import sys
import threading
import time
import urllib.parse

LOCK = threading.Lock()
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)
DATABASE.executescript(
    """
    CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE notes (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL);
    """
)


def query(sql, *values):
    with LOCK, DATABASE:
        return DATABASE.execute(sql, values).fetchall()


class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run(self):
        """The run that it belongs to; what is asked before the load takes any answer, and is none."""
        is_load = self.headers.get("Accept") != "*/*"
        return self.headers.get("X-Proofload-Run") if is_load else None

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        self.came = None
        super().handle_one_request()

    def parse_request(self):
        self.came = time.time_ns()
        return super().parse_request()

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def user(self):
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        if "sessionid" not in cookies:
            return None
        found = query("SELECT name FROM sessions WHERE id = ?", cookies["sessionid"].value)
        return found[0][0] if found else None

    def answer(self, status, body="", kind="text/html; charset=utf-8", **fields):
        data = body.encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        line = {
            "at_ns": self.came,
            "method": self.command,
            "path": self.path,
            "visitor": self.headers.get("X-Visitor"),
            "run": self.run(),
            "status": status,
            "length": int(self.headers.get("Content-Length", 0)),
        }
        with LOCK:
            LOG.write(json.dumps(line) + "\n")
            LOG.flush()

    def json(self, status, value):
        self.answer(status, json.dumps(value), "application/json")

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        name = self.user()
        if path == "/":
            self.answer(200, "<form action=/login method=post><input name=name></form>")
        elif name is None:
            self.answer(303, Location="/")
        elif path == "/notes":
            rows = query("SELECT id, text FROM notes WHERE name = ? ORDER BY id", name)
            self.json(200, [{"id": number, "text": text} for number, text in rows])
        elif path.startswith("/notes/"):
            rows = query("SELECT text FROM notes WHERE id = ? AND name = ?", path[7:], name)
            self.json(200, {"text": rows[0][0]}) if rows else self.json(404, {"error": "none"})
        else:
            self.answer(404, "nothing here")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.body()
        form = urllib.parse.parse_qs(body)
        if self.path == "/login":
            session = secrets.token_hex(16)
            query("INSERT INTO sessions VALUES (?, ?)", session, form["name"][0])
            cookie = f"sessionid={session}; HttpOnly; Path=/"
            self.answer(303, Location="/notes", Set_Cookie=cookie)
        elif self.user() is None:
            self.answer(401, "who are you?")
        elif self.path == "/notes":
            text = json.loads(body)["text"]
            query("INSERT INTO notes (name, text) VALUES (?, ?)", self.user(), text)
            self.json(201, query("SELECT max(id) FROM notes")[0][0])
        else:
            self.answer(404, "nothing here")

    def do_DELETE(self):
        if self.user() is None:
            self.answer(401, "who are you?")
        else:
            query("DELETE FROM notes WHERE id = ? AND name = ?", self.path[7:], self.user())
            self.json(200, {})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    LOG = open(sys.argv[2], "a", encoding="utf-8")
    server = Server(("127.0.0.1", 0), Notes)
    with open(sys.argv[1], "w", encoding="utf-8") as port:
        port.write(f"{server.server_address[1]}\n")
    server.serve_forever()

"""A loopback server that speaks as much of the Hub's protocol as the project needs, and fails when it is told to.

Repositories are lists of commits, a commit is path -> bytes. LFS files go through batch, PUT and verify and are served
by a redirect to another origin, as on the Hub.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"
LFS = (".mp4", ".png", ".safetensors", ".bin")
# What the server may do to a request instead of answering it. `cut-after` does the work and hangs up.
SLOW, CUT, CUT_AFTER = "slow", "cut", "cut-after"
Fault = Callable[[str, str], int | str | None]  # kind of request, path -> status, one of the above, or None


@dataclass
class Repository:
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)  # (oid, files)
    private: bool = False

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits.append((oid, files))
        return oid

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)


class HubServer:
    """Started and stopped as a context manager; `fault` decides about every request."""

    def __init__(self, fault: Fault = lambda kind, path: None):
        self.fault = fault
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}  # LFS objects by sha256
        self.xet_store = ""  # the address of a store of chunks, from which LFS files are to be fetched by Xet
        self.xet_hashes: dict[bytes, str] = {}  # content -> what it is called there
        self.requests: Counter[str] = Counter()  # answered ones, by kind
        self.lock = threading.RLock()
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://localhost:{self.port}"

    def plant(self, repo: str, revision: str, files: dict[str, bytes]) -> None:
        """A repository as it is after a commit called `revision`, which may be "main"."""
        oid = hashlib.sha1(repr(sorted(files)).encode()).hexdigest() if revision == "main" else revision
        self.repositories.setdefault(repo, Repository()).commits.append((oid, files))
        self.blobs |= {oid_of(path, content): content for path, content in files.items() if path.endswith(LFS)}

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()


REPO = r"(?:/datasets|/spaces)?/(?P<repo>[^/]+/[^/]+)"
API = r"/api/(?:datasets|models|spaces)/(?P<repo>[^/]+/[^/]+)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer
    # kind -> method and path
    ROUTES = {
        "create": ("POST", r"/api/repos/create"),
        "card": ("POST", r"/api/validate-yaml"),
        "preupload": ("POST", rf"{API}/preupload/(?P<rev>[^/]+)"),
        "commit": ("POST", rf"{API}/commit/(?P<rev>[^/]+)"),
        "tree": (
            "GET",
            rf"{API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?",
        ),
        "xet": ("GET", rf"{API}/xet-read-token/(?P<rev>[^/]+)"),
        "paths": ("POST", rf"{API}/paths-info/(?P<rev>[^/]+)"),
        "info": ("GET", rf"{API}(?:/revision/(?P<rev>[^/]+))?"),
        "lfs": ("POST", rf"{REPO}\.git/info/lfs/objects/batch"),
        "verify": ("POST", r"/verify/(?P<oid>[0-9a-f]{64})"),
        "put": ("PUT", r"/blobs/(?P<oid>[0-9a-f]{64})"),
        "blob": ("GET|HEAD", r"/blobs/(?P<oid>[0-9a-f]{64})"),
        "file": ("GET|HEAD", rf"{REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"),
    }

    def log_message(self, *_: object) -> None:
        pass

    def handle_any(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.read_body()
        for kind, (methods, pattern) in self.ROUTES.items():
            found = re.fullmatch(pattern, path)
            if found and self.command in methods.split("|"):
                return self.serve(kind, path, found.groupdict())
        return self.answer({"error": f"no route for {self.command} {path}"}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def serve(self, kind: str, path: str, names: dict[str, str]) -> None:
        fault = self.hub.fault(kind, path)
        if fault == SLOW:
            time.sleep(0.2)
        elif fault == CUT:
            return self.hang_up()
        elif isinstance(fault, int):
            gated = {"X-Error-Code": "GatedRepo"} if (kind, fault) == ("file", 403) else None  # terms not accepted yet
            return self.answer({"error": "told to fail"}, fault, gated)
        public = kind in ("blob", "put", "verify")
        if not public and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            wrong = {"X-Error-Message": "Invalid credentials in Authorization header"}  # its client looks for this
            return self.answer({"error": "who are you?"}, 401, wrong if self.headers.get("Authorization") else None)
        if public and kind == "blob" and self.headers.get("Authorization"):
            return self.answer({"error": "the token was sent to another origin"}, 400)
        with self.hub.lock:
            self.hub.requests[kind] += 1
            reply = getattr(self, f"serve_{kind}")(**names)
        if fault == CUT_AFTER:
            return self.hang_up()
        return self.answer(*reply)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # What each kind of request does: (content, status, headers)

    def serve_create(self) -> tuple:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repositories:
            return {"error": "exists", "url": f"{self.hub.url}/datasets/{name}"}, 409
        self.hub.repositories[name] = Repository(private=wanted.get("private", wanted.get("visibility") == "private"))
        self.hub.repositories[name].commit({".gitattributes": b""})
        return {"url": f"{self.hub.url}/datasets/{name}"}, 200

    def serve_card(self) -> tuple:
        return {"errors": [], "warnings": []}, 200

    def serve_info(self, repo: str, rev: str | None) -> tuple:
        commit, absent = self.commit_of(repo, rev or "main")
        if not commit:
            return absent
        siblings = [{"rfilename": path} for path in commit[1]]
        return {"_id": "1", "id": repo, "sha": commit[0], "siblings": siblings, "private": False, "tags": []}, 200

    def commit_of(self, repo: str, rev: str) -> tuple[tuple[str, dict[str, bytes]] | None, tuple]:
        """The commit, or None with what the Hub answers then."""
        found = self.hub.repositories.get(repo)
        code = "RevisionNotFound" if found else "RepoNotFound"
        return found.at(rev) if found else None, ({"error": "not found"}, 404, {"X-Error-Code": code})

    def serve_preupload(self, repo: str, rev: str) -> tuple:
        files = self.hub.repositories[repo].files
        answers = []
        for wanted in json.loads(self.body)["files"]:
            path = wanted["path"]
            mode = "lfs" if path.endswith(LFS) else "regular"
            oid = oid_of(path, files[path]) if path in files else None
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}, 200

    def serve_lfs(self, repo: str) -> tuple:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            oid = wanted["oid"]
            actions = {
                "upload": {"href": f"http://127.0.0.1:{self.hub.port}/blobs/{oid}"},
                "verify": {"href": f"http://127.0.0.1:{self.hub.port}/verify/{oid}"},
            }
            objects.append(wanted | ({} if oid in self.hub.blobs else {"actions": actions}))
        return {"transfer": "basic", "objects": objects}, 200

    def serve_put(self, oid: str) -> tuple:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return {"error": "wrong bytes"}, 422
        self.hub.blobs[oid] = self.body
        return b"", 200

    def serve_verify(self, oid: str) -> tuple:
        return b"", 200 if oid in self.hub.blobs else 404

    def serve_commit(self, repo: str, rev: str) -> tuple:
        found = self.hub.repositories[repo]
        lines = [json.loads(line) for line in self.body.splitlines()]
        files = dict(found.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, found.head):
                return {"error": "the branch has moved on"}, 412
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    return {"error": "no such LFS object"}, 400
                files[value["path"]] = self.hub.blobs[value["oid"]]
        oid = found.commit(files)
        return {"success": True, "commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{oid}", "commitOid": oid}, 200

    def serve_tree(self, repo: str, rev: str, path: str | None) -> tuple:
        commit, absent = self.commit_of(repo, rev)
        if not commit:
            return absent
        _, files = commit
        inside = {name: content for name, content in files.items() if name.startswith(f"{path}/" * bool(path))}
        entries = [entry(name, content) | self.by_xet(content) for name, content in inside.items()]
        folders = {name.rsplit("/", depth)[0] for name in files for depth in range(1, name.count("/") + 1)}
        entries += [
            {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}
            for name in sorted(folders)
            if not path or name.startswith(f"{path}/")
        ]
        if path and not entries:
            return {"error": "no such folder"}, 404, {"X-Error-Code": "EntryNotFound"}
        return entries, 200

    def by_xet(self, content: bytes) -> dict[str, str]:
        """What an entry says of a file that is to be fetched by Xet."""
        found = self.hub.xet_hashes.get(content)
        return {"xetHash": found} if found else {}

    def serve_xet(self, repo: str, rev: str) -> tuple:
        token = {"Access-Token": "t", "Token-Expiration": "9999999999", "Cas-Url": self.hub.xet_store}
        return {}, 200, {f"X-Xet-{name}": value for name, value in token.items()}

    def serve_paths(self, repo: str, rev: str) -> tuple:
        _, files = self.hub.repositories[repo].at(rev)
        wanted = json.loads(self.body)["paths"] if self.body[:1] == b"{" else []
        return [entry(path, files[path]) for path in wanted if path in files], 200

    def serve_file(self, repo: str, rev: str, path: str) -> tuple:
        commit, absent = self.commit_of(repo, rev)
        if not commit:
            return absent
        oid, files = commit
        if path not in files:
            return {"error": "no such file"}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid}
        etag = f'"{oid_of(path, files[path])}"'
        headers = {"X-Repo-Commit": oid, "ETag": etag, "Accept-Ranges": "bytes"}
        if path.endswith(LFS):
            sha256 = oid_of(path, files[path])
            location = f"http://127.0.0.1:{self.hub.port}/blobs/{sha256}"
            linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(len(files[path])), "Location": location}
            return b"", 302, headers | linked
        return files[path], 200, headers

    def serve_blob(self, oid: str) -> tuple:
        return self.hub.blobs[oid], 200, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}


def oid_of(path: str, content: bytes) -> str:
    """What the Hub calls the file's content: sha256 for LFS, git's blob hash for others."""
    if path.endswith(LFS):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict[str, object]:
    oid = oid_of(path, content)
    listed = {"type": "file", "path": path, "size": len(content), "oid": oid[:40]}
    return listed | ({"lfs": {"oid": oid, "size": len(content), "pointerSize": 130}} if path.endswith(LFS) else {})

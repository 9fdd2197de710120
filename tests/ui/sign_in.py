"""A provider of sign-ins on loopback that speaks OpenID Connect, in the place of Hugging Face's."""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import gradio as gr
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "the-page"


def signed_in(name: str) -> gr.OAuthProfile:
    """What a handler gets of somebody who has signed in."""
    return gr.OAuthProfile({"name": name, "preferred_username": name, "profile": "", "picture": ""})


class SignIn:
    """Whoever asks is `person`, without a password; with the environment `settings` a page takes its word.

    The names of everybody who signed in are only in the signed tokens that it gives out.
    """

    def __init__(self):
        self.person = "anna"
        self.key = RSAKey.generate_key(2048, parameters={"kid": "1"})
        self.asked: dict[str, tuple[str, str]] = {}  # code -> person, nonce
        handler = type("Handler", (Answers,), {"provider": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "SignIn":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """What a Space with `hf_oauth: true` finds in its environment."""
        return {
            "SYSTEM": "spaces",
            "SPACE_ID": "owner/page",
            "OAUTH_CLIENT_ID": CLIENT,
            "OAUTH_CLIENT_SECRET": "secret",
            "OAUTH_SCOPES": "openid profile",
            "OPENID_PROVIDER_URL": self.url,
        }

    def token(self, code: str) -> dict[str, object]:
        """The signed word on who asked."""
        person, nonce = self.asked.pop(code)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": person, "iat": now, "exp": now + 3600, "nonce": nonce}
        claims |= {"name": person.title(), "preferred_username": person}
        claims |= {"profile": f"{self.url}/{person}", "picture": ""}
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        return {"access_token": secrets.token_hex(8), "token_type": "bearer", "expires_in": 3600, "id_token": signed}


class Answers(BaseHTTPRequestHandler):
    """One request to the provider."""

    provider: SignIn

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def do_GET(self) -> None:
        provider, address = self.provider, urlsplit(self.path)
        if address.path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            found = {name: f"{provider.url}/{place}" for name, place in places.items()}
            self.answer(found | {"issuer": provider.url, "id_token_signing_alg_values_supported": ["RS256"]})
        elif address.path == "/keys":
            self.answer({"keys": [provider.key.as_dict(private=False)]})
        else:
            asked = {name: values[0] for name, values in parse_qs(address.query).items()}
            code = secrets.token_hex(8)
            provider.asked[code] = provider.person, asked["nonce"]
            self.send_response(302)
            joint = "&" if "?" in asked["redirect_uri"] else "?"
            self.send_header(
                "Location", asked["redirect_uri"] + joint + urlencode({"code": code, "state": asked["state"]})
            )
            self.end_headers()

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(self.provider.token(form["code"][0]))

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

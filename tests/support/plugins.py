"""A plugin of age's, made by the tests: a program of its own that shares no code with dlbackup."""

import sys
from pathlib import Path

from dlbackup.stores.age import bech32

__all__ = ["toy_identity", "toy_plugin", "toy_recipient"]

_TOY = """#!{python} -IS
import base64, hashlib, hmac, os, sys, time

WAY, MACHINE = os.environ.get("TOY", ""), sys.argv[1]
with open(__file__ + ".log", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")

def hear():
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(7)
    words, body = line.decode().strip().split(" ")[1:], b""
    while True:
        line = sys.stdin.buffer.readline().strip()
        body += line
        if len(line) < 64:
            return words, base64.b64decode(body + b"=" * (-len(body) % 4))

def say(*words, body=b""):
    text = base64.b64encode(body).rstrip(b"=")
    lines = [text[at:at + 64] for at in range(0, len(text) + 1, 64)]
    sys.stdout.buffer.write(("-> " + " ".join(words)).encode() + b"\\n" + b"".join(line + b"\\n" for line in lines))
    sys.stdout.buffer.flush()

def ask(*words, body=b""):
    say(*words, body=body)
    return hear()

def pad(key):
    return hashlib.sha256(b"toy" + key.encode()).digest()

heard = []
while not heard or heard[-1][0] != ["done"]:
    heard.append(hear())
if WAY == "mute":
    time.sleep(60)
if WAY == "dies":
    sys.exit(3)
if WAY == "nonsense":
    print("hello", flush=True)
    time.sleep(60)
if WAY == "endless":
    while True:
        sys.stdout.write("A" * 65536)
if WAY == "error":
    ask("error", "internal", body=b"the key is at home")
if WAY == "damaged":
    ask("error", "stanza", "0", "0", body=b"a point of low order")
if WAY == "touch":
    assert ask("grease-7", "a", body=b"x" * 100) == (["unsupported"], b"")
    assert ask("msg", body=b"touch the \\x1b[31mkey") == (["ok"], b"")
if WAY == "pin":
    words, body = ask("request-secret", body=b"the PIN, please")
    if words != ["ok"] or body != b"1234":
        ask("error", "internal", body=b"no PIN, no key")
if WAY == "plugged in":
    yes = base64.b64encode(b"it is in").decode().rstrip("=")
    if ask("confirm", yes, yes, body=b"put the key in") != (["ok", "yes"], b""):
        ask("error", "internal", body=b"there is no key")

keys = [words[1].rpartition("1")[2].lower()[:-6] for words, _ in heard if words[0].startswith("add-")]
if MACHINE == "--age-plugin=recipient-v1":
    file_key = next(body for words, body in heard if words == ["wrap-file-key"])
    for key in keys * (2 if WAY == "two" else 1):
        body = bytes(a ^ b for a, b in zip(file_key, pad(key)))
        ask("recipient-stanza", "0", "toy", body=body + hmac.digest(pad(key), file_key, "sha256"))
    if WAY in ("postquantum", "alone") and (["extension-labels"], b"") in heard:
        ask("labels", WAY)
elif MACHINE == "--age-plugin=identity-v1":
    for words, body in heard:
        for key in keys if words[:3] == ["recipient-stanza", "0", "toy"] else ():
            file_key = bytes(a ^ b for a, b in zip(body, pad(key)))[:16]
            if hmac.digest(pad(key), file_key, "sha256") == body[16:]:
                ask("file-key", "0", body=file_key + (b"more" if WAY == "long" else b""))
else:
    sys.exit(2)
say("done")
"""


def toy_plugin(folder: Path) -> Path:
    """
    Write the program `age-plugin-toy` into a folder; beside it, `.log` gets its command line at each start.

    `TOY` in the environment says in what way it behaves; empty: well.
    """
    path = folder / "age-plugin-toy"
    path.write_text(_TOY.replace("{python}", sys.executable))
    path.chmod(0o755)
    return path


def toy_recipient(key: bytes) -> str:
    """Return a recipient of the plugin."""
    return bech32.encoded("age1toy", key)


def toy_identity(key: bytes) -> str:
    """Return the identity that opens what is encrypted to the recipient of the same key."""
    return bech32.encoded("age-plugin-toy-", key).upper()

"""The child that a Gateway starts instead of `signal-cli` or `imsg`: it carries lines.

Usage: `fake_child.py PORT -- ARGUMENTS`. Everything else is decided by the fake that listens at the
port (see `fake_rpc.py`). It imports nothing of ours, so that it starts quickly, and it dies of a
closed pipe as the real ones do: what it could not write, it does not report as written.
"""

import json
import os
import socket
import sys
import threading


def main() -> None:
    port = int(sys.argv[1])
    link = socket.create_connection(("127.0.0.1", port))
    lock = threading.Lock()

    def tell(**frame):  # type: ignore[no-untyped-def]
        data = json.dumps(frame).encode() + b"\n"
        with lock:
            link.sendall(data)

    def carry_input() -> None:
        try:
            for line in sys.stdin:
                tell(**{"in": line.rstrip("\n")})
            tell(eof=True)
        except OSError:
            os._exit(1)

    tell(argv=sys.argv[3:], pid=os.getpid())
    threading.Thread(target=carry_input, daemon=True).start()
    with link.makefile("rb") as frames:
        for line in frames:
            frame = json.loads(line)
            if "exit" in frame:
                if frame["err"]:
                    os.write(2, frame["err"].encode() + b"\n")
                os._exit(frame["exit"])
            write_all(frame["out"].encode("utf-8", "surrogateescape"))
            if frame["n"]:
                tell(wrote=frame["n"])
    os._exit(1)


def write_all(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        os._exit(1)


if __name__ == "__main__":
    main()

"""`mien serve`: the models as a service with a page, by default for this machine only."""

import logging
import os
from pathlib import Path
from typing import Annotated

import cv2
import typer

from mien.cli.extras import needs
from mien.cli.screen import say

__all__ = ["serve"]

SAFE = "Whoever reaches this address can use it: give --keys, and put TLS before it (docs/serve.md)."


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A file that `mien export` wrote, or default, small, ferplus; repeatable."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Serve every NAME.onnx of a folder, and change over when one is replaced.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    faces: Annotated[str, typer.Option(help="default, haar, yuface, yunet=FILE, or none: faces cut out.")] = "default",
    workers: Annotated[int, typer.Option(help="Threads that classify pictures; 0 takes one for each core.")] = 0,
    queue: Annotated[
        int, typer.Option(help="Requests accepted at a time; further ones are asked to retry later.")
    ] = 64,
    wait: Annotated[float, typer.Option(help="Seconds that a request may wait; then it is rejected.")] = 10.0,
    body_mb: Annotated[int, typer.Option(help="Largest request with pictures.")] = 20,
    video_mb: Annotated[int, typer.Option(help="Largest video; it is held in memory.")] = 100,
    megapixels: Annotated[int, typer.Option(help="Largest picture.")] = 12,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name, besides localhost, by which browsers call this server; repeatable."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another site whose pages may use it, https://example.org; repeatable.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="File with hashes of keys that clients must give.")] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Print a new key and its line for --keys, and exit.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM: serve https, which cameras need.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The private key, if it is in a file of its own.")] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Write one line for each request on stderr.")
    ] = False,
) -> None:
    """Serve expressions over HTTP, with a page for pictures, videos and the camera.

    Open http://127.0.0.1:8000/ in a browser, or send a picture:

    curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg http://127.0.0.1:8000/v1/predict

    Nothing is stored and nothing leaves this machine. It accepts connections from this machine only. --host 0.0.0.0
    with --allow-host NAME lets others in, and --keys asks them for a key. Ctrl-C finishes what is under way and stops.
    """
    cv2.setNumThreads(1)  # each worker is a thread of its own
    cv2.utils.logging.setLogLevel(0)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with needs("serve", "serve"):
        from mien.server.keys import new_key as made
        from mien.server.listen import is_loopback, listen
        from mien.server.settings import SHIPPED, Limits, Settings
    limits = Limits(queue=queue, wait_s=wait, body_mb=body_mb, video_mb=video_mb, megapixels=megapixels)
    settings = Settings(
        models=tuple(model or SHIPPED),
        folder=models,
        detector=faces,
        workers=workers,
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        keys=keys,
        access_log=access_log,
        limits=limits,
    )
    if new_key:
        key, line = made()
        print(f"key, for the client:  {key}\nline, for --keys FILE: {line} NAME")
        return
    logging.basicConfig(format="mien: %(message)s", level=logging.INFO if access_log else logging.WARNING)

    def started(address: str) -> None:
        if not is_loopback(host) and keys is None:
            say(SAFE)
        say(f"Open {address} in a browser. Ctrl-C finishes what is under way and stops.")

    listen(settings, host, port, certificate=tls_cert, key=tls_key, started=started)

"""The predictor as a service: HTTP, a socket for cameras, and a page. Needs the extra `serve`.

In: pictures, videos and frames over HTTP. Out: the JSON of `mien predict`. One process, threads inside. Read in this
order:

    settings   what can be set, and the limits that hold for every client
    work       one request's pictures: decode and find, classify, answer
    batcher    the queue, and workers that take together what waits
    gate       how many requests are taken on at a time
    models     the models by name; a replaced file is noticed
    guard      what stands before every route: hosts, origins, keys, headers, deadlines
    bodies     what a client sends, read within limits
    pictures   `POST /v1/predict` and `/v1/explain`
    films      `POST /v1/video`
    frames     `WS /v1/stream`
    about      models, health, metrics, the page
    state      what the routes share
    app        all of it put together; `listen` runs it
"""

__all__: list[str] = []

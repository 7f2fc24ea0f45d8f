"""The predictor as a service: HTTP, a socket for cameras, and a page. Needs the extra `serve`.

In: pictures, videos and frames over HTTP. Out: the JSON of `mien predict`. One process, threads inside. Read in this
order:

    settings   the settings, and the limits for every client
    work       one request's pictures: decode and find, classify, answer
    batcher    the queue, and workers that take several waiting requests together
    gate       the number of requests that are accepted at a time
    models     the models by name; a replaced file is noticed
    guard      the checks before every route: hosts, origins, keys, headers, deadlines
    bodies     the data of a client, read within limits
    pictures   `POST /v1/predict` and `/v1/explain`
    films      `POST /v1/video`
    frames     `WS /v1/stream`
    about      models, health, metrics, the page
    state      the shared state of the routes
    app        all of it put together; `listen` runs it
"""

__all__: list[str] = []
